// A tokenizer and recursive-descent parser for a small language of tensor expressions, with lines
// such as y = tanh(w @ x + b). The code comes from the page, so it is never run as JavaScript.

/** A position in the code. Lines and columns count from 1. */
export interface Position {
  line: number;
  column: number;
}

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

/** An error in the code with its position: `line 2, column 5: ...`. */
export class CodeError extends Error {
  override name = "CodeError";

  constructor({ line, column }: Position, problem: string) {
    super(`line ${line}, column ${column}: ${problem}`);
  }
}

/** The maximum length of code, depth of nested brackets, number of nodes and length of a name. */
export const limits = { characters: 2000, depth: 40, nodes: 200, name: 24 };

type TokenKind = "number" | "name" | "symbol" | "line end" | "end";
type Token = Position & { kind: TokenKind; text: string };

/** The sticky patterns of all tokens, and of spaces and comments. */
const patterns: readonly (readonly [kind: TokenKind | "space", pattern: RegExp])[] = [
  ["space", /[ \t\r]+|#[^\n]*/y],
  ["line end", /\n/y],
  ["number", /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ["name", /[A-Za-z_]\w*/y],
  ["symbol", /\*\*|[-+*/@()[\],=]/y],
];

/** Splits code into tokens. A line continues as long as a bracket is open. */
function tokenize(code: string): Token[] {
  const tokens: Token[] = [];
  let offset = 0;
  let line = 1;
  let lineStart = 0;
  let openBrackets = 0;
  const position = () => ({ line, column: offset - lineStart + 1 });
  while (offset < code.length) {
    const match = matchToken(code, offset);
    if (!match) {
      const character = String.fromCodePoint(code.codePointAt(offset) as number);
      throw new CodeError(position(), `unexpected character ${character}`);
    }
    const { kind, text } = match;
    const isIgnored = kind === "space" || (kind === "line end" && openBrackets > 0);
    if (!isIgnored) tokens.push({ kind, text, ...position() });
    if (text === "(" || text === "[") openBrackets++;
    if (text === ")" || text === "]") openBrackets = Math.max(0, openBrackets - 1);
    offset += text.length;
    if (text === "\n") {
      line++;
      lineStart = offset;
    }
  }
  tokens.push({ kind: "line end", text: "\n", ...position() });
  tokens.push({ kind: "end", text: "", ...position() });
  return tokens;
}

function matchToken(
  code: string,
  offset: number,
): { kind: TokenKind | "space"; text: string } | null {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = offset;
    const match = pattern.exec(code);
    if (match) return { kind, text: match[0] };
  }
  return null;
}

/**
 * Parses code into statements, one per line. Precedence is that of Python: ** binds most tightly and
 * is right-associative, then unary minus, then * / @, then + -. Comments begin with #. Throws a
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
