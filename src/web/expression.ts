// Evaluates the expression language of parser.ts with the library's ops. A line that consists of
// plain numbers is a leaf that requires a gradient. Code can only call the functions below.

import type { DType } from "../backend/device.ts";
import { gelu, relu, relu2, sigmoid, silu, tanh } from "../ops/activations.ts";
import { type Nested, tensor } from "../ops/creation.ts";
import { abs, add, cos, div, exp, log, mul, neg, pow, sin, sqrt, sub } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { transpose } from "../ops/movement.ts";
import { max, mean, sum, variance } from "../ops/reductions.ts";
import { logSoftmax, softmax } from "../ops/softmax.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { CodeError, type Position } from "./lexer.ts";
import { type Expression, type Operator, parse } from "./parser.ts";

/** The maximum number of values in a tensor. */
const MAX_VALUES = 64;
/** The maximum number of characters of a name in an error message. */
const MAX_NAME = 24;

/** Numbers stay numbers in arithmetic with other numbers, and become tensors next to tensors. */
type Value = number | Tensor;

interface Options {
  dim?: number;
  keepdim?: boolean;
}

interface Callable {
  options: readonly (keyof Options)[];
  apply(x: Tensor, options: Options): Tensor;
}

const elementwise = { abs, cos, exp, gelu, log, relu, relu2, sigmoid, silu, sin, sqrt, tanh };
const reductions = { max, mean, sum, var: variance };
const softmaxes = { softmax, logSoftmax };

/** All functions by name. A Map, so that names such as `constructor` are not found. */
const functions = new Map<string, Callable>();
for (const [name, f] of Object.entries(elementwise))
  functions.set(name, { options: [], apply: (x) => f(x) });
for (const [name, f] of Object.entries(reductions))
  functions.set(name, { options: ["dim", "keepdim"], apply: f });
for (const [name, f] of Object.entries(softmaxes))
  functions.set(name, { options: ["dim"], apply: f });
functions.set("transpose", { options: [], apply: (x) => transpose(x, -2, -1) });

interface Arithmetic {
  numbers(a: number, b: number): number;
  tensors(a: Value, b: Value): Tensor;
}

/** The operators that accept numbers and tensors on both sides. ** and @ do not. */
const arithmetic: Record<Exclude<Operator, "**" | "@">, Arithmetic> = {
  "+": { numbers: (a, b) => a + b, tensors: add },
  "-": { numbers: (a, b) => a - b, tensors: sub },
  "*": { numbers: (a, b) => a * b, tensors: mul },
  "/": { numbers: (a, b) => a / b, tensors: div },
};

export interface Evaluated {
  /** The result of the last line. */
  root: Tensor;
  /** The position of the last line. */
  position: Position;
  /** The result of each named line, in the order of the lines. */
  variables: Map<string, Tensor>;
  /** The arguments of ops other than tensors: the exponent of a power, `dim = 0` of a sum. */
  details: Map<Tensor, string>;
}

/** Evaluates all lines on the ts backend. Throws a CodeError if the code is not valid. */
export function evaluate(code: string, { dtype = "f64" }: { dtype?: DType } = {}): Evaluated {
  const evaluator = new Evaluator(dtype);
  const { variables, details } = evaluator;
  const statements = parse(code);
  const last = statements.at(-1);
  if (!last) throw new CodeError({ line: 1, column: 1 }, "expected a line such as y = x ** 2");
  let root: Tensor | undefined;
  for (const statement of statements) {
    const { name, value } = statement;
    const isDefined = name !== null && (variables.has(name) || functions.has(name));
    if (isDefined) throw new CodeError(statement, `${name} is already defined`);
    root = evaluator.evaluateLine(value);
    if (name !== null) variables.set(name, root);
  }
  return { root: root as Tensor, position: last, variables, details };
}

class Evaluator {
  readonly variables = new Map<string, Tensor>();
  readonly details = new Map<Tensor, string>();
  readonly #dtype: DType;

  constructor(dtype: DType) {
    this.#dtype = dtype;
  }

  /** Returns a leaf that requires a gradient if the line consists of plain numbers. */
  evaluateLine(line: Expression): Tensor {
    if (line.kind === "array") return this.#createLeaf(this.#evaluateArray(line), line, true);
    const value = this.#evaluate(line);
    return typeof value === "number" ? this.#createLeaf(value, line, true) : value;
  }

  #evaluate(x: Expression): Value {
    switch (x.kind) {
      case "number":
        return x.value;
      case "array":
        return this.#createLeaf(this.#evaluateArray(x), x, false);
      case "name":
        return this.#evaluateName(x);
      case "negative": {
        const operand = this.#evaluate(x.x);
        return typeof operand === "number" ? -operand : this.#runOp(x, () => neg(operand));
      }
      case "operation":
        return this.#evaluateOperation(x);
      case "call":
        return this.#evaluateCall(x);
    }
  }

  #evaluateName(x: Extract<Expression, { kind: "name" }>): Tensor {
    const value = this.variables.get(x.name);
    if (value) return value;
    const problem = functions.has(x.name) ? "is a function, expected (" : "is not defined";
    throw new CodeError(x, `${x.name.slice(0, MAX_NAME)} ${problem}`);
  }

  #evaluateOperation(x: Extract<Expression, { kind: "operation" }>): Value {
    const a = this.#evaluate(x.a);
    const b = this.#evaluate(x.b);
    if (x.operator === "@")
      return this.#runOp(x, () => matmul(this.#toTensor(a), this.#toTensor(b)));
    if (x.operator === "**") {
      if (typeof b !== "number")
        throw new CodeError(x, "the exponent is a tensor, expected a number such as 2");
      if (typeof a === "number") return a ** b;
      const y = this.#runOp(x, () => pow(a, b));
      this.details.set(y, String(b));
      return y;
    }
    const { numbers, tensors } = arithmetic[x.operator];
    if (typeof a === "number" && typeof b === "number") return numbers(a, b);
    return this.#runOp(x, () => tensors(a, b));
  }

  #evaluateCall(x: Extract<Expression, { kind: "call" }>): Tensor {
    const callable = functions.get(x.name);
    if (!callable) {
      const names = [...functions.keys()].sort().join(", ");
      const name = x.name.slice(0, MAX_NAME);
      throw new CodeError(x, `unknown function ${name}, expected one of ${names}`);
    }
    if (x.args.length !== 1)
      throw new CodeError(x, `${x.name} has ${x.args.length} arguments, expected 1`);
    const options = this.#evaluateOptions(x.options, callable);
    const operand = this.#toTensor(this.#evaluate(x.args[0]));
    const y = this.#runOp(x, () => callable.apply(operand, options));
    const detail = Object.entries(options).map(([name, value]) => `${name} = ${Number(value)}`);
    // a composite op, such as var, ends in another op, which does not have these options
    if (detail.length > 0 && y.node?.name === x.name) this.details.set(y, detail.join(", "));
    return y;
  }

  #evaluateOptions(expressions: Map<string, Expression>, callable: Callable): Options {
    const options: Options = {};
    for (const [name, expression] of expressions) {
      const option = callable.options.find((known) => known === name);
      if (!option) {
        const expected = callable.options.join(", ") || "none";
        const problem = `unknown option ${name.slice(0, MAX_NAME)}, expected ${expected}`;
        throw new CodeError(expression, problem);
      }
      const value = this.#evaluate(expression);
      if (typeof value !== "number")
        throw new CodeError(expression, `${name} is a tensor, expected a number`);
      if (option === "keepdim") options.keepdim = value !== 0;
      else options.dim = value;
    }
    return options;
  }

  /** Evaluates an array of numbers in brackets. */
  #evaluateArray(x: Expression): Nested {
    if (x.kind === "array") return x.items.map((item) => this.#evaluateArray(item));
    const value = this.#evaluate(x);
    if (typeof value === "number") return value;
    throw new CodeError(x, "an array item is a tensor, expected a number");
  }

  /** Runs an op. Reports an error of the library, or a result that is too large, as a CodeError. */
  #runOp(position: Position, op: () => Tensor): Tensor {
    let y: Tensor;
    try {
      y = op();
    } catch (error) {
      throw new CodeError(position, (error as Error).message);
    }
    if (y.size > 0 && y.size <= MAX_VALUES) return y;
    throw new CodeError(position, `the result has ${y.size} values, expected 1 to ${MAX_VALUES}`);
  }

  #toTensor(x: Value): Tensor {
    return typeof x === "number" ? tensor(x, { dtype: this.#dtype, device: "ts" }) : x;
  }

  #createLeaf(values: Nested, position: Position, requiresGrad: boolean): Tensor {
    const options = { dtype: this.#dtype, device: "ts", requiresGrad } as const;
    return this.#runOp(position, () => tensor(values, options));
  }
}
