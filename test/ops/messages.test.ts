// The messages of errors: every public function, called with a wrong value in place of each of its
// arguments, either accepts it or throws `function: argument ..., expected ...`.

import * as tinybard from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const { nn, ones, optim, quantizeMatrix, randn, setDefaultDevice, tensor } = tinybard;

const test = suite("error messages");
setDefaultDevice("ts");

const idx = tensor([[0, 1]], { dtype: "i32" });
const ids = tensor([1, 0, 2], { dtype: "i32" });
const x = randn([2, 3]);
const square = randn([3, 3]);
const cube = randn([2, 3, 4]);
const w = randn([5, 3]);
const b = randn([5]);
const heads = randn([1, 2, 3, 4]);
const qkv = randn([1, 3, 24]);
const matrix = quantizeMatrix(randn([64, 64]), { bits: 8 });
const image = randn([1, 2, 5, 5]);

/** Arguments that each function accepts. */
const ops: Record<string, unknown[]> = {
  abs: [x],
  add: [x, x],
  all: [x, {}],
  allclose: [x, x, {}],
  any: [x, {}],
  arange: [3],
  argmax: [x, {}],
  argmin: [x, {}],
  argsort: [x, {}],
  attention: [heads, heads, heads, {}],
  binaryCrossEntropyWithLogits: [x, x, {}],
  bmm: [cube, randn([2, 4, 2])],
  cat: [[x, x], {}],
  ceil: [x],
  chunk: [x, 2, {}],
  clamp: [x, 0, 1],
  clone: [x],
  conv1d: [randn([1, 2, 5]), randn([3, 2, 2]), null, {}],
  conv2d: [image, randn([3, 2, 2, 2]), null, {}],
  cos: [x],
  crossEntropy: [square, ids, {}],
  cumsum: [x, 0],
  dequantize: [matrix],
  diag: [square],
  div: [x, x],
  dot: [b, b],
  dropout: [x, { p: 0.5 }],
  einsum: ["ij,jk->ik", x, square],
  elu: [x, {}],
  embedding: [idx, w, {}],
  embeddingQuantized: [idx, matrix, {}],
  eq: [x, x],
  erf: [x],
  exp: [x],
  expand: [x, [2, 3]],
  eye: [3],
  flatten: [x],
  flip: [x, [0]],
  [Math.floor.name]: [x],
  full: [[2], 1, {}],
  fullLike: [x, 1, {}],
  gather: [square, 0, tensor([[0, 1, 2]], { dtype: "i32" })],
  ge: [x, x],
  gelu: [x, {}],
  gt: [x, x],
  indexSelect: [x, 0, tensor([1], { dtype: "i32" })],
  isfinite: [x],
  isinf: [x],
  isnan: [x],
  klDiv: [x, x, {}],
  l1Loss: [x, x, {}],
  layerNorm: [x, ones([3]), ones([3]), {}],
  le: [x, x],
  leakyRelu: [x, {}],
  linear: [x, w, b, {}],
  linearCrossEntropy: [square, w, b, ids, {}],
  linearQuantized: [randn([2, 64]), matrix, null, {}],
  linspace: [0, 1, 5, {}],
  log: [x],
  logSoftmax: [x, {}],
  logsumexp: [x, 0],
  lt: [x, x],
  maskedFill: [x, ones([2, 3], { dtype: "i32" }), 0],
  matmul: [x, square],
  max: [x, {}],
  maxPool2d: [image, 2, {}],
  maximum: [x, x],
  mean: [x, {}],
  min: [x, {}],
  minimum: [x, x],
  mlp: [x, w, b, randn([3, 5]), randn([3]), {}],
  mseLoss: [x, x, {}],
  mul: [x, x],
  multinomial: [ones([3]), 1, {}],
  ne: [x, x],
  neg: [x],
  nllLoss: [square, ids, {}],
  norm: [x, {}],
  oneHot: [ids, 3],
  ones: [[2], {}],
  onesLike: [x, {}],
  outer: [b, b],
  permute: [x, [1, 0]],
  pow: [x, 2],
  prod: [x, {}],
  qkNorm: [qkv, { nHead: 2 }],
  quantizeMatrix: [randn([64, 64]), { bits: 8 }],
  rand: [[2], {}],
  randint: [0, 3, [2], {}],
  randLike: [x, {}],
  randn: [[2], {}],
  randnLike: [x, {}],
  randperm: [3],
  relu: [x],
  relu2: [x],
  remainder: [x, x],
  repeat: [x, [2, 1]],
  reshape: [x, [6]],
  residualLayerNorm: [x, x, ones([3]), ones([3]), {}],
  residualRMSNorm: [x, x, ones([3]), {}],
  rmsNorm: [x, ones([3]), {}],
  roll: [x, 1, 0],
  rotary: [qkv, nn.rotaryTable(3, 4), { nHead: 2 }],
  round: [x],
  scatter: [square, 0, tensor([[0, 1, 2]], { dtype: "i32" }), ones([1, 3])],
  scatterAdd: [square, 0, tensor([[0, 1, 2]], { dtype: "i32" }), ones([1, 3])],
  select: [x, 0, 1],
  selfAttention: [qkv, { nHead: 2 }],
  sigmoid: [x],
  sign: [x],
  silu: [x],
  sin: [x],
  slice: [x, { dim: 0 }],
  softcap: [x, 3],
  softmax: [x, {}],
  softplus: [x, {}],
  sort: [x, {}],
  split: [x, 1, {}],
  sqrt: [x],
  squeeze: [x],
  stack: [[x, x], {}],
  std: [x, {}],
  sub: [x, x],
  sum: [x, {}],
  swiglu: [randn([2, 4])],
  tanh: [x],
  tensor: [[1, 2], {}],
  toDot: [x],
  topk: [x, 1, {}],
  transpose: [x, 0, 1],
  tril: [square],
  triu: [square],
  unbind: [x, 0],
  unsqueeze: [x, 0],
  var: [x, {}],
  view: [x, [6]],
  where: [ones([2, 3], { dtype: "i32" }), x, x],
  zeros: [[2], {}],
  zerosLike: [x, {}],
  checkGradient: [(y: tinybard.Tensor) => y, [x], {}],
  device: ["ts"],
  setDefaultDevice: ["ts"],
  keep: [x],
  manualSeed: [1],
  noGrad: [() => x],
  scope: [() => x],
  record: ["op", ones([1]), [x], () => [null]],
  setFloat32MatmulPrecision: ["highest"],
  tokenizerFromJSON: [tinybard.CharTokenizer.train("abc").toJSON()],
};

const wrongValues: [string, unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["number", 3],
  ["fraction", -1.5],
  ["NaN", Number.NaN],
  ["string", "text"],
  ["boolean", true],
  ["array", [1, 2]],
  ["array of text", ["a"]],
  ["object", { unknownName: 1 }],
  ["function", () => 1],
  ["symbol", Symbol("s")],
  ["i32 tensor", tensor([[1, 2]], { dtype: "i32" })],
  ["f64 tensor", tensor([[1, 2]], { dtype: "f64" })],
  ["f32 tensor of another shape", randn([7, 1, 7])],
  ["scalar tensor", tensor(1)],
  ["typed array", new Float32Array(2)],
];

/** Describes what is wrong with the message of an error; "" if nothing is. */
function findFault(op: string, error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const { message } = error;
  // a model's forward() is composed of ops
  const names = op === "forward" ? [op, "embedding", "crossEntropy"] : [op];
  if (!names.some((name) => message.startsWith(`${name}: `))) return message;
  const isUnderstood = /, expected /.test(message) || /: unknown option \w+/.test(message);
  return isUnderstood ? "" : message;
}

/** Calls a function with each wrong value in place of each argument. Returns the faults. */
function findFaults(op: string, call: (...args: never[]) => unknown, args: unknown[]): string[] {
  const faults: string[] = [];
  const attempt = (label: string, values: unknown[]) => {
    try {
      const result = call(...(values as never[]));
      if (result instanceof Promise) result.catch(() => undefined);
    } catch (error) {
      const fault = findFault(op, error);
      if (fault) faults.push(`${op}(${label}): ${fault}`);
    }
  };
  attempt("no arguments", []);
  for (const position of args.keys()) {
    for (const [label, value] of wrongValues)
      attempt(`argument ${position} is ${label}`, args.with(position, value));
  }
  return faults;
}

const parameters = () => [new nn.Linear(3, 3).weight];
const optimizer = () => new optim.SGD(parameters());
const gpt = { vocabSize: 5, blockSize: 4, nLayer: 1, nHead: 2, nEmbd: 8 };

/** Functions and constructors of the namespaces, with arguments that they accept. */
const calls: Record<string, [(...args: never[]) => unknown, ...args: unknown[]]> = {
  AdamW: [construct(optim.AdamW), parameters(), { lr: 1e-3 }],
  Adam: [construct(optim.Adam), parameters(), {}],
  SGD: [construct(optim.SGD), parameters(), {}],
  RMSprop: [construct(optim.RMSprop), parameters(), {}],
  Muon: [construct(optim.Muon), parameters(), {}],
  EMA: [construct(optim.EMA), new nn.Linear(3, 3), { decay: 0.9 }],
  CombinedOptimizer: [construct(optim.CombinedOptimizer), { first: optimizer() }],
  StepLR: [construct(optim.StepLR), optimizer(), { stepSize: 2 }],
  ExponentialLR: [construct(optim.ExponentialLR), optimizer(), { gamma: 0.5 }],
  LinearLR: [construct(optim.LinearLR), optimizer(), {}],
  CosineAnnealingLR: [construct(optim.CosineAnnealingLR), optimizer(), { tMax: 2 }],
  LambdaLR: [construct(optim.LambdaLR), optimizer(), () => 1],
  clipGradNorm: [optim.clipGradNorm, parameters(), 1],
  clipGradients: [optim.clipGradients, parameters(), 1],
  Linear: [construct(nn.Linear), 2, 3, {}],
  Embedding: [construct(nn.Embedding), 2, 3, {}],
  LayerNorm: [construct(nn.LayerNorm), 2, {}],
  RMSNorm: [construct(nn.RMSNorm), 2, {}],
  BatchNorm1d: [construct(nn.BatchNorm1d), 2, {}],
  Dropout: [construct(nn.Dropout), 0.5],
  Sequential: [construct(nn.Sequential), new nn.ReLU()],
  ModuleList: [construct(nn.ModuleList), [new nn.ReLU()]],
  Parameter: [construct(nn.Parameter), ones([2]), {}],
  Conv1d: [construct(nn.Conv1d), 2, 3, 2, {}],
  Conv2d: [construct(nn.Conv2d), 2, 3, 2, {}],
  MaxPool2d: [construct(nn.MaxPool2d), 2, {}],
  LSTM: [construct(nn.LSTM), 2, 3, {}],
  GRU: [construct(nn.GRU), 2, 3, {}],
  RNN: [construct(nn.RNN), 2, 3, {}],
  MLP: [construct(nn.MLP), { nEmbd: 4 }],
  MultiHeadAttention: [construct(nn.MultiHeadAttention), { nEmbd: 4, nHead: 2 }],
  LoRALinear: [construct(nn.LoRALinear), new nn.Linear(3, 3), { rank: 1 }],
  QuantizedLinear: [construct(nn.QuantizedLinear), matrix],
  QuantizedEmbedding: [construct(nn.QuantizedEmbedding), matrix],
  adapt: [nn.adapt, new nn.Sequential(new nn.Linear(3, 3)), { rank: 1 }],
  mergeAdapters: [nn.mergeAdapters, new nn.Sequential(new nn.Linear(3, 3))],
  adapterState: [nn.adapterState, new nn.Sequential(new nn.Linear(3, 3))],
  freeze: [nn.freeze, [new nn.Linear(3, 3)]],
  inEvalMode: [nn.inEvalMode, new nn.Linear(3, 3), () => 1],
  makeNorm: [nn.makeNorm, 4, {}],
  rotaryTable: [nn.rotaryTable, 4, 4],
  sinusoidalTable: [nn.sinusoidalTable, 4, 4],
  TensorDataset: [construct(tinybard.TensorDataset), x],
  DataLoader: [construct(tinybard.DataLoader), new tinybard.TensorDataset(x), {}],
  GPT: [construct(tinybard.GPT), gpt],
  BigramLanguageModel: [construct(tinybard.BigramLanguageModel), 5, 4],
  quantize: [tinybard.quantize, new tinybard.GPT(gpt), { bits: 8 }],
};

/** Returns a function that calls a constructor. */
function construct<A extends never[], R>(Class: new (...args: A) => R): (...args: A) => R {
  return (...args) => new Class(...args);
}

/** Methods that take tensors: the name in messages, the method, and its arguments. */
const methods: Record<string, [(...args: never[]) => unknown, ...args: unknown[]]> = {
  loadStateDict: [
    (dict, options) => new nn.Linear(3, 3).loadStateDict(dict, options),
    new nn.Linear(3, 3).stateDict(),
    {},
  ],
  backward: [(dy) => ones([2], { requiresGrad: true }).mul(2).backward(dy), ones([2])],
  linear: [(y, options) => new nn.Linear(3, 3).forward(y, options), x, {}],
  embedding: [(y) => new nn.Embedding(3, 3).forward(y), idx],
  layerNorm: [(y) => new nn.LayerNorm(3).forward(y), x],
  BatchNorm1d: [(y) => new nn.BatchNorm1d(3).forward(y), x],
  LSTM: [(y) => new nn.LSTM(3, 2).forward(y), x],
  forward: [
    (y, targets, options) => new tinybard.GPT(gpt).forward(y, targets, options),
    idx,
    idx,
    {},
  ],
  fill: [(value) => ones([2]).fill(value), 1],
  assign: [(y) => ones([2]).assign(y), ones([2])],
  to: [(target) => ones([2]).to(target), "f32"],
  toArray: [(rank) => ones([2]).toArray(rank), 1],
};

test("every function of the API is in the table", () => {
  const functions = Object.entries(tinybard)
    .filter(([name, value]) => typeof value === "function" && /^[a-z]/.test(name))
    .map(([name]) => name);
  // those that read files, train or run asynchronously, with tests of their messages of their own
  const others = new Set([
    "devices",
    "getFloat32MatmulPrecision",
    "generate",
    "quantize",
    "decodeStream",
    "train",
    "loadCorpus",
    "loadGPT2",
    "saveGPT2",
    "loadHuggingFace",
    "saveLlama",
    "loadGPT2Tokenizer",
    "loadBPE",
    "saveBPE",
    "loadSafetensors",
    "saveSafetensors",
  ]);
  const missing = functions.filter((name) => !(name in ops) && !others.has(name));
  assert.equal(missing, []);
});

for (const [name, args] of Object.entries(ops)) {
  test(name, () => {
    const op = (tinybard as unknown as Record<string, (...args: never[]) => unknown>)[name];
    op(...(args as never[]));
    assert.equal(findFaults(name, op, args), []);
    setDefaultDevice("ts");
  });
}

for (const [name, [call, ...args]] of [...Object.entries(calls), ...Object.entries(methods)]) {
  test(`${name}, called`, () => {
    call(...(args as never[]));
    assert.equal(findFaults(name, call, args), []);
  });
}

test.run();
