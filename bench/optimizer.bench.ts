// The optimizer's kernels over all parameters of a model. Each call works on what the one before it
// left: the sizes of the steps and of the scaling are such that this goes well very often.

import { GPT } from "tinybard";
import { modelOptions } from "./models.ts";
import { F, forModels, given, inPlace, out, P, type Part } from "./row.ts";

export const optimizer = forModels(({ preset }) => {
  const model = new GPT(modelOptions(preset), { initWeights: false });
  const sizes = [...model.parameters()].map((w) => w.size);
  const each = (part: (n: number) => Part) => sizes.map(part);
  const [read, changed] = [each(F), each((n) => inPlace(F(n)))];
  const squares = each((n) => inPlace(P(n)));
  const counts = each(() => inPlace(given(1)));
  const shape = `${sizes.reduce((sum, n) => sum + n)} in ${sizes.length}`;
  const lr = given(1e-3);
  return [
    { kernel: "sgd", shape, args: [changed, read, changed, lr, 0.9, 0] },
    {
      kernel: "adamw",
      shape,
      args: [changed, read, changed, squares, [], counts, lr, null, 0.9, 0.99, 1e-8, 0.1, 0],
    },
    { kernel: "sumSquares", shape, args: [read, out(1)] },
    { kernel: "clip", shape, args: [changed, given(1), 1] }, // by 1 / (1 + 1e-6)
  ];
});
