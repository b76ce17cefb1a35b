// Kernels on the rows of the residual stream, [M, C], and of the logits, [M, V].

import { F, forModels, I, out, P, type Row, scalar } from "./row.ts";

export const rows = forModels(({ M, C, V }) => {
  const n = M * C;
  const z = M * V;
  const rngState = I(4, 1);
  const stream = (kernel: Row["kernel"], args: Row["args"]) => {
    return { kernel, shape: `${M} x ${C}`, args };
  };
  const logits = (kernel: Row["kernel"], args: Row["args"]) => {
    return { kernel, shape: `${M} x ${V}`, args };
  };
  // biome-ignore format: several arguments per line
  return [
    {
      kernel: "sum",
      shape: `${M} x ${4 * C} -> ${4 * C}`,
      args: [F(4 * n), out(4 * C), 1, M, 4 * C],
    },
    { kernel: "sum", shape: `${M} x ${C} -> ${M}`, args: [F(n), out(M), M, C, 1] },
    logits("max", [F(z), out(M), I(M, 1), M, V, 1]),
    logits("maxBackward", [F(M), I(M, V), out(z), M, V, 1]),
    logits("softmax", [F(z), out(z), M, V]),
    logits("logSoftmax", [F(z), out(z), M, V]),
    logits("softmaxBackward", [F(z), F(z), out(z), M, V]),
    logits("logSoftmaxBackward", [F(z), F(z), out(z), M, V]),
    stream("layerNorm", [F(n), F(C), F(C), out(n), out(M), out(M), M, C, 1e-5, true]),
    stream("layerNormBackward", [
      F(n), F(C), F(M), P(M), F(n), out(n), out(C), out(C), M, C, true,
    ]),
    stream("residualLayerNorm", [
      F(n), F(n), F(C), F(C), out(n), out(n), out(M), out(M), rngState, M, C, 1e-5, 0, 0, true,
    ]),
    stream("residualLayerNormBackward", [
      F(n), F(C), F(M), P(M), F(n), F(n), out(n), out(n), out(C), out(C), rngState,
      M, C, 0, 0, true,
    ]),
    logits("crossEntropy", [F(z), I(M, V), out(1), out(M), out(1), M, V, -100]),
    logits("crossEntropyBackward", [
      F(z), I(M, V), P(M), scalar(M), scalar(1), out(z), M, V, -100,
    ]),
  ];
});
