// A recursive-descent parser for a small language of tensor expressions, with lines such as
// y = tanh(w @ x + b). The code comes from the page, so it is never run as JavaScript.

import { CodeError, type Position, type Token, tokenize } from "./lexer.ts";

export type Operator = "+" | "-" | "*" | "/" | "@" | "**";

export type Expression = Position &
  (
    | { kind: "number"; value: number }
    | { kind: "array"; items: Expression[] }
    | { kind: "name"; name: string }
    | { kind: "negative"; x: Expression }
    | { kind: "operation"; operator: Operator; a: Expression; b: Expression }
    | { kind: "call"; name: string; args: Expression[]; options: Map<string, Expression> }
  );

/** A line `name = value`. Only the last line may omit the name. */
export type Statement = Position & { name: string | null; value: Expression };

/** The maximum length of code, depth of nested brackets, number of nodes and length of a name. */
export const limits = { characters: 2000, depth: 40, nodes: 200, name: 24 };

/**
 * Parses code into statements, one per line. Precedence is that of Python: ** binds most tightly
 * and is right-associative, then unary minus, then * / @, then + -. Comments begin with #. Throws a
 * CodeError.
 */
export function parse(code: string): Statement[] {
  if (code.length > limits.characters) {
    const problem = `the code has ${code.length} characters, expected at most ${limits.characters}`;
    throw new CodeError({ line: 1, column: 1 }, problem);
  }
  return new Parser(tokenize(code)).parseStatements();
}

/** A recursive-descent parser with one method per level of precedence. */
class Parser {
  readonly #tokens: Token[];
  #index = 0;
  #depth = 0;
  #nodes = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  parseStatements(): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      while (this.#peek.kind === "line end") this.#index++;
      if (this.#peek.kind === "end") return statements;
      const last = statements.at(-1);
      if (last && last.name === null)
        throw new CodeError(last, "expected name = value: only the last line may omit the name");
      statements.push(this.#parseStatement());
    }
  }

  #parseStatement(): Statement {
    const { kind, text: name, line, column } = this.#peek;
    const isNamed = kind === "name" && this.#tokens[this.#index + 1].text === "=";
    if (isNamed) this.#index += 2;
    if (isNamed && name.length > limits.name)
      throw new CodeError({ line, column }, `the name has more than ${limits.name} characters`);
    const value = this.#parseSum();
    if (this.#peek.kind !== "line end") this.#fail("an operator or the end of the line");
    return { name: isNamed ? name : null, value, line, column };
  }

  #parseSum(): Expression {
    let a = this.#parseProduct();
    let operator = this.#accept("+", "-");
    while (operator) {
      a = this.#createOperation(operator, a, this.#parseProduct());
      operator = this.#accept("+", "-");
    }
    return a;
  }

  #parseProduct(): Expression {
    let a = this.#parseNegative();
    let operator = this.#accept("*", "/", "@");
    while (operator) {
      a = this.#createOperation(operator, a, this.#parseNegative());
      operator = this.#accept("*", "/", "@");
    }
    return a;
  }

  #parseNegative(): Expression {
    const minus = this.#accept("-");
    if (!minus) return this.#parsePower();
    const { line, column } = minus;
    const x = this.#nested(() => this.#parseNegative());
    return this.#createNode({ kind: "negative", x, line, column });
  }

  #parsePower(): Expression {
    const a = this.#parseAtom();
    const operator = this.#accept("**");
    if (!operator) return a;
    const b = this.#nested(() => this.#parseNegative()); // right-associative
    return this.#createOperation(operator, a, b);
  }

  #parseAtom(): Expression {
    const token = this.#peek;
    const { line, column, text } = token;
    if (token.kind === "number") {
      this.#index++;
      if (!Number.isFinite(Number(text))) throw new CodeError(token, "the number is too large");
      return this.#createNode({ kind: "number", value: Number(text), line, column });
    }
    if (token.kind === "name") {
      this.#index++;
      if (this.#accept("(")) return this.#parseCall(token);
      return this.#createNode({ kind: "name", name: text, line, column });
    }
    if (this.#accept("(")) {
      const inner = this.#nested(() => this.#parseSum());
      if (!this.#accept(")")) this.#fail("an operator or )");
      return inner;
    }
    if (this.#accept("[")) {
      const items: Expression[] = [];
      this.#parseList("]", () => items.push(this.#parseSum()));
      return this.#createNode({ kind: "array", items, line, column });
    }
    return this.#fail("a number, a name, [ or (");
  }

  #parseCall({ text: name, line, column }: Token): Expression {
    const args: Expression[] = [];
    const options = new Map<string, Expression>();
    this.#parseList(")", () => {
      const { kind, text } = this.#peek;
      if (kind !== "name" || this.#tokens[this.#index + 1].text !== "=") {
        args.push(this.#parseSum());
        return;
      }
      if (options.has(text)) throw new CodeError(this.#peek, `duplicate option ${text}`);
      this.#index += 2;
      options.set(text, this.#parseSum());
    });
    return this.#createNode({ kind: "call", name, args, options, line, column });
  }

  /** Parses comma-separated items up to a closing bracket. A trailing comma is allowed. */
  #parseList(close: string, item: () => void): void {
    while (!this.#accept(close)) {
      this.#nested(item);
      if (this.#peek.text !== close && !this.#accept(",")) this.#fail(`, or ${close}`);
    }
  }

  #createOperation({ text, line, column }: Token, a: Expression, b: Expression): Expression {
    return this.#createNode({ kind: "operation", operator: text as Operator, a, b, line, column });
  }

  #createNode(expression: Expression): Expression {
    this.#nodes++;
    if (this.#nodes > limits.nodes)
      throw new CodeError(expression, `expected at most ${limits.nodes} operations and values`);
    return expression;
  }

  /** Parses an expression inside another one. Limits the depth of the recursion. */
  #nested<T>(parse: () => T): T {
    this.#depth++;
    if (this.#depth > limits.depth)
      throw new CodeError(this.#peek, `expected at most ${limits.depth} nested brackets`);
    const result = parse();
    this.#depth--;
    return result;
  }

  /** The next token. */
  get #peek(): Token {
    return this.#tokens[this.#index];
  }

  /** Consumes and returns the next token if it is one of these symbols. */
  #accept(...symbols: string[]): Token | null {
    const token = this.#peek;
    if (token.kind !== "symbol" || !symbols.includes(token.text)) return null;
    this.#index++;
    return token;
  }

  #fail(expected: string): never {
    const { kind, text } = this.#peek;
    const found = kind === "line end" || kind === "end" ? "the end of the line" : text.slice(0, 24);
    throw new CodeError(this.#peek, `found ${found}, expected ${expected}`);
  }
}
