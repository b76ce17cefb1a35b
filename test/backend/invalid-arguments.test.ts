// Invalid calls that plain JavaScript can make because no type checker rejects them: each throws an
// error that names the op and the argument. None returns a value, crashes, or fails in a kernel.

import * as tinybard from "tinybard";
import { device, ones, randn, scope, setDefaultDevice, tensor, zeros } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("invalid arguments");
setDefaultDevice("ts"); // supports all dtypes
// biome-ignore lint/suspicious/noExplicitAny: the calls are invalid on purpose
const T = tinybard as any;
const f = (...shape: number[]) => randn(shape);
const i = (...values: number[]) => tensor(values, { dtype: "i32" });
const leaf = () => randn([3], { requiresGrad: true });
const freed = () => {
  let x = f(3);
  scope(() => {
    x = f(3);
  });
  return x;
};
const tiny = { vocabSize: 5, blockSize: 4, nLayer: 1, nHead: 1, nEmbd: 2 };
const fake = { device: device("ts"), dtype: "f32", shape: [2] };

/** Invalid calls, and patterns of their error messages. */
// biome-ignore format: a call a row
const calls: [() => unknown, RegExp][] = [
  [() => T.tensor(), /tensor: values has a undefined/],
  [() => T.tensor([1, [2]]), /tensor: values has rows of shapes/],
  [() => T.tensor([1, 2], { dtype: "f16" }), /dtype is f16, expected f32, f64, i32 or bf16/],
  [() => T.tensor([1, 2], { dtype: "constructor" }), /dtype is constructor/],
  [() => T.tensor([1.5], { dtype: "i32" }), /tensor: element 0 is 1.5, expected a whole number/],
  [() => T.tensor([Number.NaN], { dtype: "i32" }), /tensor: element 0 is NaN/],
  [() => T.tensor(new Uint32Array([4e9])), /tensor: element 0 is 4000000000/],
  [() => T.tensor(new BigInt64Array(2)), /tensor: values is a BigInt64Array/],
  [() => T.tensor(new DataView(new ArrayBuffer(8))), /tensor: values is a DataView/],
  [() => T.tensor(new Array(3)), /tensor: values has a undefined/],
  [() => T.tensor([1, 2], true), /tensor: options are true/],
  [() => T.zeros(new Array(2)), /zeros: shape is/],
  [() => T.zeros([2 ** 53, 0]), /zeros: shape is/],
  [() => T.full([2]), /full: value is undefined, expected a number/],
  [() => T.full([2], "7"), /full: value is 7, expected a number/],
  [() => T.randn([2], { dtype: "i32" }), /randn: dtype is i32/],
  [() => T.randn([1e12]), /out of memory/],
  [() => T.arange(), /arange: end is undefined/],
  [() => T.arange("1", 3), /arange: start is 1, expected a number/],
  [() => T.arange(2 ** 31, 2 ** 31 + 2), /arange: element 0 is 2147483648/],
  [() => T.tril([[1, 2]]), /tril: x is an array, expected a tensor/],
  [() => T.add(f(2), fake), /add: b is an object, expected a tensor/],
  [() => T.neg(1), /neg: x is 1, expected a tensor/],
  [() => T.exp([1]), /exp: x is an array/],
  [() => T.pow(f(2), "2"), /pow: exponent is 2, expected a number/],
  [() => T.where([1, 0], f(2), f(2)), /where: cond is an array/],
  [() => T.maskedFill(f(2), null, 0), /maskedFill: mask is null/],
  [() => T.maskedFill(f(2), i(1, 0), f(2)), /maskedFill: value is .*, expected a number/],
  [() => T.maskedFill(f(2), i(1, 0, 1), 0), /maskedFill: mask has shape/],
  [() => T.dropout(f(2), { p: "0.5" }), /dropout: p is 0.5/],
  [() => T.sum([1, 2]), /sum: x is an array/],
  [() => T.max(f(2), "0"), /max: options are 0/],
  [() => T.sum(f(2), true), /sum: options are true, expected an object/],
  [() => T.max(f(2), {}, 1), /max: an argument follows the options/],
  [() => T.softmax(), /softmax: x is undefined/],
  [() => T.layerNorm(f(2, 3), f(3), false), /layerNorm: b is false/],
  [() => T.layerNorm(f(2, 3), f(3), f(3), { eps: -1 }), /layerNorm: eps is -1, expected/],
  [() => T.rmsNorm(f(2, 3)), /rmsNorm: w is undefined/],
  [() => T.crossEntropy(f(2, 3), [0, 1]), /crossEntropy: target is an array/],
  [() => T.crossEntropy(f(2, 3), i(0, 1), { ignoreIndex: "0" }), /crossEntropy: ignoreIndex is 0/],
  [() => T.crossEntropy(f(2, 0), i(7, 9)), /crossEntropy: x has no classes/],
  [() => T.embedding(i(0), null), /embedding: w is null/],
  [() => T.matmul(null, f(2)), /matmul: a is null/],
  [() => T.matmul(f(2, 2), 3), /matmul: b is 3/],
  [() => T.linear(f(2, 3), f(4, 3), 0), /linear: b is 0/],
  [() => T.linear([1], f(4, 3)), /linear: x is an array/],
  [() => T.mlp(1, f(3, 2), null, f(2, 3), null), /mlp: x is 1/],
  [() => T.linearCrossEntropy(null, f(3, 2), null, i(0)), /linearCrossEntropy: x is null/],
  [() => T.attention(f(1, 1, 2, 2)), /attention: k is undefined/],
  [() => T.selfAttention(null, { nHead: 2 }), /selfAttention: qkv is null/],
  [() => T.reshape(f(2, 3), "6"), /reshape: shape is 6, expected a list/],
  [() => T.reshape(f(1), [-1, -1]), /reshape: shape is \[-1, -1\], expected at most one -1/],
  [() => T.reshape([1, 2], [2]), /reshape: x is an array/],
  [() => T.permute(f(2, 3), null), /permute: dims is null, expected a list/],
  [() => T.permute(f(2), [1.5]), /permute: dims is \[1.5\]/],
  [() => T.slice(f(2, 3), { dim: 0, start: "1" }), /slice: start and end are 1 and 2/],
  [() => T.slice(f(2, 3), { dim: 0, start: 0.5 }), /slice: start and end are 0.5 and 2/],
  [() => T.cat(null), /cat: list is object, expected a list of tensors/],
  [() => T.cat([[1], [2]]), /cat: list\[0\] is an array/],
  [() => T.stack([f(2), null]), /stack: list\[1\] is null/],
  [() => T.multinomial([0.5, 0.5], 1), /multinomial: probs is an array/],
  [() => T.checkGradient(T.exp, f(2)), /checkGradient: inputs is not a list/],
  [() => T.checkGradient(() => 1, [f(2)]), /checkGradient: the result of fn is 1/],
  [() => T.toDot(1), /toDot: x is 1/],
  [() => leaf().exp().backward(2 as never), /backward: dy is 2/],
  [() => leaf().exp().backward(f(3).to("f64")), /backward: dy has dtype f64, expected f32/],
  [() => { leaf().grad = 5 as never; }, /grad: dx is 5/],
  [() => leaf().fill("a" as never), /fill: value is string/],
  [() => leaf().assign([1, 2, 3] as never), /assign: x is an array/],
  [() => new T.GPT(), /GPT: options are undefined/],
  [() => new T.GPT({ vocabSize: 5 }), /GPT: blockSize is undefined/],
  [() => new T.GPT(tiny).forward([[1]]), /forward: idx is an array/],
  [() => new T.optim.AdamW([leaf()], { lr: "0.1" }), /AdamW: lr is 0.1, expected a number/],
  [() => new T.optim.AdamW([leaf()], { betas: [0.9] }), /AdamW: betas are 0.9/],
  [() => new T.optim.AdamW([leaf()], { weight_decay: 1 }), /AdamW: unknown option weight_decay/],
  [() => freed().add(1), /was freed at the end of its scope/],
  [() => freed().data(), /was freed at the end of its scope/],
  [() => { (f(3).shape as number[])[0] = 5; }, /read only/],
];

calls.forEach(([call, message], row) => {
  test(`${row} ${String(call)
    .replace(/^\(\) => /, "")
    .slice(0, 60)}`, () => {
    try {
      call();
    } catch (error) {
      assert.instance(error, Error);
      assert.match((error as Error).message, message);
      return;
    }
    assert.unreachable("no error was thrown");
  });
});

/** Functions with options, by the op that their message names, and the arguments before these. */
// biome-ignore format: a call a row
const withOptions: [string, (options: object) => unknown][] = [
  ["tensor", (o) => T.tensor([1], o)],
  ["full", (o) => T.full([2], 1, o)],
  ["zeros", (o) => T.zeros([2], o)],
  ["ones", (o) => T.ones([2], o)],
  ["randn", (o) => T.randn([2], o)],
  ["rand", (o) => T.rand([2], o)],
  ["arange", (o) => T.arange(0, 3, o)],
  ["tril", (o) => T.tril(f(2, 2), o)],
  ["sum", (o) => T.sum(f(2), o)],
  ["mean", (o) => T.mean(f(2), o)],
  ["max", (o) => T.max(f(2), o)],
  ["argmax", (o) => T.argmax(f(2), o)],
  ["var", (o) => T.var(f(2), o)],
  ["softmax", (o) => T.softmax(f(2), o)],
  ["logSoftmax", (o) => T.logSoftmax(f(2), o)],
  ["gelu", (o) => T.gelu(f(2), o)],
  ["dropout", (o) => T.dropout(f(2), { p: 0.5, ...o })],
  ["slice", (o) => T.slice(f(2), { dim: 0, ...o })],
  ["cat", (o) => T.cat([f(2)], o)],
  ["stack", (o) => T.stack([f(2)], o)],
  ["split", (o) => T.split(f(2), 1, o)],
  ["embedding", (o) => T.embedding(i(0), f(2, 2), o)],
  ["linear", (o) => T.linear(f(1, 2), f(3, 2), undefined, o)],
  ["mlp", (o) => T.mlp(f(1, 2), f(3, 2), null, f(2, 3), null, o)],
  ["layerNorm", (o) => T.layerNorm(f(2, 3), f(3), f(3), o)],
  ["rmsNorm", (o) => T.rmsNorm(f(2, 3), f(3), o)],
  ["residualLayerNorm", (o) => T.residualLayerNorm(f(2, 3), f(2, 3), f(3), f(3), o)],
  ["residualRMSNorm", (o) => T.residualRMSNorm(f(2, 3), f(2, 3), f(3), o)],
  ["crossEntropy", (o) => T.crossEntropy(f(1, 2), i(0), o)],
  ["linearCrossEntropy", (o) => T.linearCrossEntropy(f(1, 2), f(3, 2), null, i(0), o)],
  ["attention", (o) => T.attention(f(1, 1, 2, 2), f(1, 1, 2, 2), f(1, 1, 2, 2), o)],
  ["selfAttention", (o) => T.selfAttention(f(1, 2, 6), { nHead: 1, ...o })],
  ["qkNorm", (o) => T.qkNorm(f(1, 2, 6), { nHead: 1, ...o })],
  ["rotary", (o) => T.rotary(f(1, 2, 6), f(2, 2), { nHead: 1, ...o })],
  ["checkGradient", (o) => T.checkGradient(T.exp, [leaf()], o)],
  ["GPT", (o) => new T.GPT({ ...tiny, ...o })],
  ["forward", (o) => new T.GPT(tiny).forward(tensor([[0]], { dtype: "i32" }), undefined, o)],
  ["forward", (o) => new T.BigramLanguageModel(5).forward(tensor([[0]]), undefined, o)],
  ["quantize", (o) => T.quantize(new T.GPT(tiny), o)],
  ["Linear", (o) => new T.nn.Linear(2, 3, o)],
  ["Embedding", (o) => new T.nn.Embedding(2, 3, o)],
  ["LayerNorm", (o) => new T.nn.LayerNorm(2, o)],
  ["RMSNorm", (o) => new T.nn.RMSNorm(2, o)],
  ["MultiHeadAttention", (o) => new T.nn.MultiHeadAttention({ nEmbd: 2, nHead: 1, ...o })],
  ["MLP", (o) => new T.nn.MLP({ nEmbd: 2, ...o })],
  ["MultiHeadAttention", (o) => new T.nn.EncoderBlock({ nEmbd: 2, nHead: 1, ...o })],
  ["MultiHeadAttention", (o) => new T.nn.DecoderBlock({ nEmbd: 2, nHead: 1, ...o })],
  ["loadStateDict", (o) => new T.nn.Linear(2, 3).loadStateDict({}, o)],
  ["SGD", (o) => new T.optim.SGD([leaf()], o)],
  ["Adam", (o) => new T.optim.Adam([leaf()], o)],
  ["AdamW", (o) => new T.optim.AdamW([leaf()], o)],
  ["AdamW", (o) => new T.optim.AdamW([{ params: [leaf()], ...o }])],
  ["cosineSchedule", (o) => T.optim.cosineSchedule({ lr: 1, decayIters: 2, ...o })],
  ["WordTokenizer.train", (o) => T.WordTokenizer.train("a b", o)],
  ["BPETokenizer.train", (o) => T.BPETokenizer.train("a b", o)],
];

for (const [op, call] of withOptions) {
  test(`an unknown option of ${String(call).slice(7)}`, () => {
    assert.throws(() => call({ bogus: 1 }), new RegExp(`^${op}: unknown option bogus`));
    assert.throws(() => call({ toString: 1 }), new RegExp(`^${op}: unknown option toString`));
  });
}

test("an undefined option has its default value", () => {
  const model = new T.GPT({ ...tiny, activation: undefined, dropout: undefined });
  assert.is(model.config.activation, "gelu");
  assert.is(new T.optim.AdamW([leaf()], { lr: undefined }).lr, 1e-3);
});

test("changing integer inputs in place before backward() is an error", () => {
  const idx = i(0, 1);
  const y = T.embedding(idx, randn([3, 2], { requiresGrad: true }));
  idx.fill(2);
  assert.throws(() => y.sum().backward(), /backward: input 0 of embedding was changed in place/);
});

test("changing a shape list after a call changes no tensor", () => {
  const shape = [2, 3];
  const tensors = [
    zeros(shape),
    ones(shape),
    tensor([1, 2, 3, 4, 5, 6], { shape }),
    f(6).reshape(shape),
  ];
  shape[0] = 9;
  for (const x of tensors) assert.equal([...x.shape], [2, 3]);
});

test.run();
