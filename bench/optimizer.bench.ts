// The optimizer kernels on all parameters of a model. Each call continues with the result of the
// previous one. The learning rate and the scale are small, so the values stay finite.

import { GPT } from "tinybard";
import { getModelOptions } from "./models.ts";
import { F, forModels, inPlace, out, P, scalar } from "./row.ts";

export const optimizer = forModels(({ preset }) => {
  const model = new GPT(getModelOptions(preset), { initWeights: false });
  const sizes = [...model.parameters()].map((w) => w.size);
  const gradients = sizes.map(F);
  const updated = sizes.map((n) => inPlace(F(n)));
  const secondMoments = sizes.map((n) => inPlace(P(n)));
  const counts = sizes.map(() => inPlace(scalar(1)));
  const shape = `${sizes.reduce((sum, n) => sum + n)} in ${sizes.length}`;
  const lr = scalar(1e-3);
  return [
    { kernel: "sgd", shape, args: [updated, gradients, updated, lr, null, 0.9, 0] },
    { kernel: "lerp", shape, args: [updated, gradients, lr, null] },
    {
      kernel: "adamw",
      shape,
      args: [
        updated,
        gradients,
        updated,
        secondMoments,
        [],
        counts,
        lr,
        null,
        0.9,
        0.99,
        1e-8,
        0.1,
        0,
      ],
    },
    { kernel: "sumSquares", shape, args: [gradients, out(1)] },
    { kernel: "clip", shape, args: [updated, scalar(1), 1] }, // scales by 1 / (1 + 1e-6)
  ];
});
