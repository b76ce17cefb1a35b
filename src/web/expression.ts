// The small language of parser.ts, computed with the library's own ops. What a line sets to plain
// numbers is a leaf that requires gradients; what the code cannot name here does not exist for it.

import type { DType } from "../backend/device.ts";
import { type Nested, tensor } from "../ops/creation.ts";
import {
  abs,
  add,
  cos,
  div,
  exp,
  gelu,
  log,
  mul,
  neg,
  pow,
  relu,
  sigmoid,
  silu,
  sin,
  sqrt,
  sub,
  tanh,
} from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { transpose } from "../ops/movement.ts";
import { logSoftmax, max, mean, softmax, sum, variance } from "../ops/reductions.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { CodeError, type Expression, type Operator, type Place, parse } from "./parser.ts";

/** The most values that a tensor may have. */
const MOST_VALUES = 64;

/** A number stands for itself, in arithmetic with other numbers too, until a tensor meets it. */
type Value = number | Tensor;

interface Callable {
  options: readonly string[];
  apply(x: Tensor, options: { dim?: number; keepdim?: boolean }): Tensor;
}

const maps = { abs, cos, exp, gelu, log, relu, sigmoid, silu, sin, sqrt, tanh };
const reductions = { max, mean, sum, var: variance };

/** What can be called: a map, in which nothing else can be found by any name. */
const functions = new Map<string, Callable>(
  Object.entries<Callable>({
    ...called(maps, [], (f) => (x) => f(x)),
    ...called(reductions, ["dim", "keepdim"], (f) => f),
    ...called({ softmax, logSoftmax }, ["dim"], (f) => f),
    transpose: { options: [], apply: (x) => transpose(x, -2, -1) },
  }),
);

function called<F>(
  table: Record<string, F>,
  options: readonly string[],
  apply: (f: F) => Callable["apply"],
): Record<string, Callable> {
  const entries = Object.entries(table);
  return Object.fromEntries(entries.map(([name, f]) => [name, { options, apply: apply(f) }]));
}

interface Arithmetic {
  numbers(a: number, b: number): number;
  tensors(a: Value, b: Value): Tensor;
}

/** What a sign between two values does; ** and @, which do not take any two, stand apart. */
const arithmetic: Record<Exclude<Operator, "**" | "@">, Arithmetic> = {
  "+": { numbers: (a, b) => a + b, tensors: add },
  "-": { numbers: (a, b) => a - b, tensors: sub },
  "*": { numbers: (a, b) => a * b, tensors: mul },
  "/": { numbers: (a, b) => a / b, tensors: div },
};

export interface Evaluated {
  /** What the last line has made. */
  root: Tensor;
  /** Where the last line stands. */
  at: Place;
  /** Each line's result by its name, in the order of the lines. */
  variables: Map<string, Tensor>;
  /** What an op was given beside tensors: the exponent of a power, `dim = 0` of a sum. */
  details: Map<Tensor, string>;
}

/** Computes all lines on the device ts. Throws a CodeError for what is wrong in the code. */
export function evaluate(code: string, { dtype = "f64" as DType } = {}): Evaluated {
  const evaluator = new Evaluator(dtype);
  const statements = parse(code);
  const last = statements.at(-1);
  if (!last) throw new CodeError({ line: 1, column: 1 }, "expected a line such as y = x ** 2");
  let root: Tensor | undefined;
  for (const { name, value, ...at } of statements) {
    const known = name !== null && (evaluator.variables.has(name) || functions.has(name));
    if (known) throw new CodeError(at, `${name} is taken, expected a new name`);
    root = evaluator.line(value);
    if (name !== null) evaluator.variables.set(name, root);
  }
  const { variables, details } = evaluator;
  return { root: root as Tensor, at: last, variables, details };
}

class Evaluator {
  readonly variables = new Map<string, Tensor>();
  readonly details = new Map<Tensor, string>();
  readonly #dtype: DType;

  constructor(dtype: DType) {
    this.#dtype = dtype;
  }

  /** The value of a line: a leaf that requires a gradient, if only numbers stand in it. */
  line(value: Expression): Tensor {
    const result = value.kind === "array" ? this.#numbersOf(value) : this.#value(value);
    const isPlain = typeof result === "number" || Array.isArray(result);
    return isPlain ? this.#leaf(result, value, true) : (result as Tensor);
  }

  #value(x: Expression): Value {
    switch (x.kind) {
      case "number":
        return x.value;
      case "array":
        return this.#leaf(this.#numbersOf(x), x, false);
      case "name": {
        const found = this.variables.get(x.name);
        if (found) return found;
        const kind = functions.has(x.name) ? "is a function, expected (" : "has no value yet";
        throw new CodeError(x, `${x.name.slice(0, 24)} ${kind}`);
      }
      case "negative": {
        const operand = this.#value(x.x);
        return typeof operand === "number" ? -operand : this.#made(x, () => neg(operand));
      }
      case "operation":
        return this.#operation(x);
      case "call":
        return this.#call(x);
    }
  }

  #operation(x: Extract<Expression, { kind: "operation" }>): Value {
    const [a, b] = [this.#value(x.a), this.#value(x.b)];
    if (x.operator === "@") return this.#made(x, () => matmul(this.#lift(a), this.#lift(b)));
    if (x.operator === "**") {
      if (typeof b !== "number")
        throw new CodeError(x, "the exponent is a tensor, expected a number such as 2");
      if (typeof a === "number") return a ** b;
      const y = this.#made(x, () => pow(a, b));
      this.details.set(y, String(b));
      return y;
    }
    const { numbers, tensors } = arithmetic[x.operator];
    if (typeof a === "number" && typeof b === "number") return numbers(a, b);
    return this.#made(x, () => tensors(a, b));
  }

  #call(x: Extract<Expression, { kind: "call" }>): Tensor {
    const called = functions.get(x.name);
    if (!called) {
      const known = [...functions.keys()].sort().join(", ");
      throw new CodeError(x, `unknown function ${x.name.slice(0, 24)}, expected one of ${known}`);
    }
    if (x.args.length !== 1)
      throw new CodeError(x, `${x.name} is given ${x.args.length} arguments, expected 1`);
    const options: Record<string, number | boolean> = {};
    for (const [name, value] of x.options) {
      if (!called.options.includes(name)) {
        const expected = called.options.join(", ") || "none";
        throw new CodeError(value, `unknown option ${name.slice(0, 24)}, expected ${expected}`);
      }
      const number = this.#value(value);
      if (typeof number !== "number")
        throw new CodeError(value, `${name} is a tensor, expected a number`);
      options[name] = name === "keepdim" ? number !== 0 : number;
    }
    const operand = this.#lift(this.#value(x.args[0]));
    const y = this.#made(x, () => called.apply(operand, options));
    const given = Object.entries(options).map(([name, value]) => `${name} = ${Number(value)}`);
    if (given.length > 0 && y.node?.name === x.name) this.details.set(y, given.join(", "));
    return y;
  }

  /** What an op makes; an error of the library is one of the code, at this place. */
  #made(at: Place, op: () => Tensor): Tensor {
    let y: Tensor;
    try {
      y = op();
    } catch (error) {
      throw new CodeError(at, (error as Error).message);
    }
    return this.#sized(at, y);
  }

  #sized(at: Place, y: Tensor): Tensor {
    if (y.size > 0 && y.size <= MOST_VALUES) return y;
    throw new CodeError(at, `the result has ${y.size} values, expected 1 to ${MOST_VALUES}`);
  }

  #lift(x: Value): Tensor {
    return typeof x === "number" ? tensor(x, { dtype: this.#dtype, device: "ts" }) : x;
  }

  #leaf(values: Nested, at: Place, requiresGrad: boolean): Tensor {
    return this.#made(at, () => tensor(values, { dtype: this.#dtype, device: "ts", requiresGrad }));
  }

  /** The numbers of an array in brackets. */
  #numbersOf(x: Expression): Nested {
    if (x.kind === "array") return x.items.map((each) => this.#numbersOf(each));
    const value = this.#value(x);
    if (typeof value === "number") return value;
    throw new CodeError(x, "an array holds numbers, and this is a tensor");
  }
}
