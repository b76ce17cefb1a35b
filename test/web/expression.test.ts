// The expression language of the autograd view: it computes what the library computes, reports
// errors with their position, and gives code no access to JavaScript.

import fc from "fast-check";
import { add, matmul, mean, mul, pow, sub, type Tensor, tanh, tensor } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { evaluate } from "#src/web/expression.js";
import { limits } from "#src/web/parser.js";
import { assertClose } from "../support/harness.js";

const test = suite("web/expression");

/** Returns the message of the CodeError, or "none". */
function getError(code: string): string {
  try {
    evaluate(code);
  } catch (error) {
    assert.is((error as Error).name, "CodeError", `${code}: ${(error as Error).stack}`);
    return (error as Error).message;
  }
  return "none";
}

test("lines compute what the library's ops compute, bit for bit", () => {
  const code = `
    x = [1, -2]   # an input
    w = [[0.5, 1],
         [2, -1]]
    b = 0.25
    y = tanh(w @ x + b)
    loss = mean((y - 1) ** 2)`;
  for (const dtype of ["f64", "f32"] as const) {
    const { root, variables } = evaluate(code, { dtype });
    const leaf = (values: Parameters<typeof tensor>[0]) => tensor(values, { dtype, device: "ts" });
    const [x, w, b] = [leaf([1, -2]), leaf([[0.5, 1], [2, -1]]), leaf(0.25)]; // biome-ignore format: a matrix
    const y = tanh(add(matmul(w, x), b));
    assert.equal(variables.get("y")?.data(), y.data());
    assert.equal(root.data(), mean(pow(sub(y, 1), 2)).data());
    assert.equal([...variables.keys()], ["x", "w", "b", "y", "loss"]);
    const requiresGrad = [...variables.values()].map((x) => x.requiresGrad);
    assert.equal(requiresGrad, [true, true, true, true, true]);
  }
});

test("an array alone in a line is a leaf; in an expression it is a constant", () => {
  const value = (code: string) => Array.from(evaluate(code).root.data());
  assert.equal(value("1 + 2 * 3 ** 2 / 6 - -1"), [5]);
  assert.equal(value("-2 ** 2"), [-4]);
  assert.equal(value("2 ** -1"), [0.5]);
  assert.equal(value("2 ** 3 ** 2"), [512]);
  assert.equal(value("(8 - 4) - 2"), [2]);
  assert.equal(value("[1 / 4, .5, 1e-3]"), [0.25, 0.5, 0.001]);
  assert.equal(value("1 / 0"), [Infinity]);
  const { variables } = evaluate("x = [1, 2]\ny = exp([0, 1])\nz = x * [3, 4]");
  assert.equal([...variables.values()].map((x) => x.requiresGrad), [true, false, true]); // biome-ignore format: short
  assert.is(variables.get("z")?.node?.inputs[1].requiresGrad, false);
});

test("every function and option works as in the library", async () => {
  const library = (await import("tinybard")) as unknown as Record<string, (x: Tensor) => Tensor>;
  const x = tensor([[0.5, 2], [1.5, 0.25]], { dtype: "f64", device: "ts" }); // biome-ignore format: a matrix
  const names = ["abs", "cos", "exp", "gelu", "log", "logSoftmax", "max", "mean", "relu", "relu2"];
  for (const name of [...names, "sigmoid", "silu", "sin", "softmax", "sqrt", "sum", "tanh"]) {
    const { root } = evaluate(`x = [[0.5, 2], [1.5, 0.25]]\n${name}(x)`);
    assert.equal(root.data(), library[name](x).data(), name);
  }
  const shape = (code: string) => evaluate(`x = [[1, 2, 3], [4, 5, 6]]\n${code}`).root.shape;
  assert.equal(shape("sum(x, dim = 0)"), [3]);
  assert.equal(shape("var(x, dim = -1, keepdim = 1)"), [2, 1]);
  assert.equal(shape("softmax(x, dim = 0)"), [2, 3]);
  assert.equal(shape("transpose(x)"), [3, 2]);
  const a = evaluate("x = [[1, 2, 3], [4, 5, 6]]\nmax(x, dim = 1)").root;
  assertClose(a, [3, 6]);
  assertClose(mul(a, 1), [3, 6]);
});

test("errors are reported with their position", () => {
  const invalid: [code: string, message: string][] = [
    ["", "line 1, column 1: expected a line such as y = x ** 2"],
    ["x = 1\ny = x +", "line 2, column 8: found the end of the line, expected a number, a name, [ or ("],
    ["x = (1 + 2", "line 1, column 11: found the end of the line, expected an operator or )"],
    ["x = [1, 2", "line 1, column 10: found the end of the line, expected , or ]"],
    ["x = 1 2", "line 1, column 7: found 2, expected an operator or the end of the line"],
    ["x = 1\ny = z * 2", "line 2, column 5: z is not defined"],
    ["y = y", "line 1, column 5: y is not defined"],
    ["x = 1\nx = 2", "line 2, column 1: x is already defined"],
    ["exp = 1", "line 1, column 1: exp is already defined"],
    ["x = exp", "line 1, column 5: exp is a function, expected ("],
    ["x = 2 & 3", "line 1, column 7: unexpected character &"],
    ["x = 😀", "line 1, column 5: unexpected character 😀"],
    ["x = [1, 2]\ny = x + [1, 2, 3]", "line 2, column 7: add: b has shape [3], expected one that broadcasts with [2]"],
    ["x = [[1, 2], [3]]", "line 1, column 5: tensor: values has rows of shapes [2] and [1]"],
    ["x = []", "line 1, column 5: the result has 0 values, expected 1 to 64"],
    ["x = [1]\ny = [x]", "line 2, column 6: an array item is a tensor, expected a number"],
    ["x = 2\ny = 2 ** x", "line 2, column 7: the exponent is a tensor, expected a number such as 2"],
    ["sum([1], axis = 0)", "line 1, column 17: unknown option axis, expected dim, keepdim"],
    ["sum([1], dim = 0, dim = 0)", "line 1, column 19: duplicate option dim"],
    ["sum([1], dim = 4)", "line 1, column 1: sum: dim is 4, expected -1 to 0"],
    ["sum([1], [2])", "line 1, column 1: sum has 2 arguments, expected 1"],
    ["x + 1\ny = 2", "line 1, column 1: expected name = value: only the last line may omit the name"],
    ["x = 1e999", "line 1, column 5: the number is too large"],
    [`${"x".repeat(25)} = 1`, "line 1, column 1: the name has more than 24 characters"],
  ]; // biome-ignore format: a table
  for (const [code, message] of invalid) assert.is(getError(code), message, code);
  assert.match(
    getError("eval(1)"),
    /^line 1, column 1: unknown function eval, expected one of abs/,
  );
});

test("limits: characters, brackets, operations, values", () => {
  assert.match(getError(`x = 1 ${" ".repeat(limits.characters)}`), /expected at most 2000$/);
  assert.match(getError("1".repeat(10 ** 6)), /the code has 1000000 characters/);
  for (const [open, close] of ["()", "[]"]) {
    const nested = (depth: number) => `x = ${open.repeat(depth)}1${close.repeat(depth)}`;
    assert.match(getError(nested(500)), /at most 40 nested brackets/);
    assert.match(getError(nested(limits.depth + 1)), /at most 40 nested brackets/);
    assert.is(getError(nested(limits.depth)), "none");
  }
  assert.match(getError(`x = ${"-".repeat(1500)}1`), /at most 40 nested brackets/);
  assert.match(getError(`x = ${"2**".repeat(500)}1`), /at most 40 nested brackets/);
  assert.match(getError(`x = ${"exp(".repeat(300)}1`), /at most 40 nested brackets/);
  assert.match(getError(`x = 1${"+1".repeat(200)}`), /at most 200 operations and values/);
  assert.match(getError(`x = [${"1,".repeat(65)}]`), /the result has 65 values, expected 1 to 64/);
  const nine = `[${"1,".repeat(9)}]`;
  const product = `x = [${"[1],".repeat(9)}]\ny = x * ${nine}`;
  assert.is(getError(product), "line 2, column 7: the result has 81 values, expected 1 to 64");
});

test("names of JavaScript objects are not defined", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "process", "globalThis"];
  for (const name of [...names, "valueOf", "eval", "Function", "require", "then"]) {
    assert.is(getError(name), `line 1, column 1: ${name} is not defined`);
    assert.match(getError(`${name}(1)`), /unknown function/);
    assert.match(getError(`sum([1], ${name} = 1)`), /unknown option/);
    assert.equal(Array.from(evaluate(`${name} = [1, 2]\n${name} * 2`).root.data()), [2, 4]);
  }
  assert.is(({} as Record<string, unknown>).dim, undefined);
  assert.match(getError("x = 1\nx.constructor"), /line 2, column 2: unexpected character \./);
});

test("any code evaluates to a tensor or throws a CodeError", () => {
  const pieces = ["x", "=", "\n", "[", "]", "(", ")", "1", "2.5", "+", "-", "*", "**", "@", ","];
  const fragments = fc.constantFrom(
    ...pieces,
    "sum",
    "dim",
    "exp",
    "y",
    "/",
    "x = [1, 2]\n",
    " ",
    "#",
  );
  const codes = fc.oneof(
    fc.array(fragments, { maxLength: 30 }).map((parts) => parts.join("")),
    fc.string(),
  );
  fc.assert(
    fc.property(codes, (code) => {
      getError(code);
    }),
    { numRuns: 2000, seed: 7 },
  );
});

test.run();
