// A small language for tensor expressions, as text and as a tree: lines such as
// y = tanh(w @ x + b). It is what the page's graphs are drawn from, and comes from the page: it is
// parsed here and never handed to JavaScript.

/** Where something stands in the code, both from 1 up. */
export interface Place {
  line: number;
  column: number;
}

export type Operator = "+" | "-" | "*" | "/" | "@" | "**";

export type Expression = Place &
  (
    | { kind: "number"; value: number }
    | { kind: "array"; items: Expression[] }
    | { kind: "name"; name: string }
    | { kind: "negative"; x: Expression }
    | { kind: "operation"; operator: Operator; a: Expression; b: Expression }
    | { kind: "call"; name: string; args: Expression[]; options: Map<string, Expression> }
  );

/** `name = value`; the last line may do without a name. */
export type Statement = Place & { name: string | null; value: Expression };

/** What is wrong with a code, and where: `line 2, column 5: ...`. */
export class CodeError extends Error {
  override name = "CodeError";

  constructor({ line, column }: Place, problem: string) {
    super(`line ${line}, column ${column}: ${problem}`);
  }
}

/** What a code may have at most. */
export const limits = { characters: 2000, depth: 40, nodes: 200, name: 24 };

type Token = Place & { kind: "number" | "name" | "sign" | "line end" | "end"; text: string };

const patterns = [
  ["space", /[ \t\r]+|#[^\n]*/y],
  ["line end", /\n/y],
  ["number", /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ["name", /[A-Za-z_]\w*/y],
  ["sign", /\*\*|[-+*/@()[\],=]/y],
] as const;

/** The tokens of a code. A line goes on as long as a bracket is open. */
function tokensOf(code: string): Token[] {
  const tokens: Token[] = [];
  let [at, line, begin, open] = [0, 1, 0, 0];
  while (at < code.length) {
    const place = { line, column: at - begin + 1 };
    let text = "";
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = at;
      text = pattern.exec(code)?.[0] ?? "";
      if (text === "") continue;
      if (kind !== "space" && !(kind === "line end" && open > 0))
        tokens.push({ kind, text, ...place });
      break;
    }
    if (text === "")
      throw new CodeError(
        place,
        `unexpected character ${String.fromCodePoint(code.codePointAt(at) as number)}`,
      );
    if (text === "(" || text === "[") open++;
    if (text === ")" || text === "]") open = Math.max(0, open - 1);
    at += text.length;
    if (text === "\n") [line, begin] = [line + 1, at];
  }
  const place = { line, column: at - begin + 1 };
  return [
    ...tokens,
    { kind: "line end", text: "\n", ...place },
    { kind: "end", text: "", ...place },
  ];
}

/**
 * The statements of a code, one a line. As in Python: ** binds most, to the right, then minus, then
 * * / @, then + -; # begins a comment. Throws a CodeError.
 */
export function parse(code: string): Statement[] {
  const start = { line: 1, column: 1 };
  if (code.length > limits.characters)
    throw new CodeError(
      start,
      `the code has ${code.length} characters, expected at most ${limits.characters}`,
    );
  return new Parser(tokensOf(code)).statements();
}

/** Recursive descent: a method for each level of binding. */
class Parser {
  readonly #tokens: Token[];
  #at = 0;
  #depth = 0;
  #nodes = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  statements(): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      while (this.#peek.kind === "line end") this.#at++;
      if (this.#peek.kind === "end") return statements;
      const last = statements.at(-1);
      if (last && last.name === null)
        throw new CodeError(last, "expected name = value: only the last line does without a name");
      statements.push(this.#statement());
    }
  }

  #statement(): Statement {
    const { kind, text: name, line, column } = this.#peek;
    const isNamed = kind === "name" && this.#tokens[this.#at + 1].text === "=";
    if (isNamed) this.#at += 2;
    if (isNamed && name.length > limits.name)
      throw new CodeError({ line, column }, `a name has at most ${limits.name} characters`);
    const value = this.#sum();
    if (this.#peek.kind !== "line end") this.#fail("an operator or the end of the line");
    return { name: isNamed ? name : null, value, line, column };
  }

  #sum(): Expression {
    let a = this.#product();
    for (let sign = this.#take("+", "-"); sign; sign = this.#take("+", "-"))
      a = this.#operation(sign, a, this.#product());
    return a;
  }

  #product(): Expression {
    let a = this.#negative();
    for (let sign = this.#take("*", "/", "@"); sign; sign = this.#take("*", "/", "@"))
      a = this.#operation(sign, a, this.#negative());
    return a;
  }

  #negative(): Expression {
    const sign = this.#take("-");
    if (!sign) return this.#power();
    const x = this.#deeper(() => this.#negative());
    return this.#node({ kind: "negative", x, line: sign.line, column: sign.column });
  }

  #power(): Expression {
    const a = this.#atom();
    const sign = this.#take("**");
    return sign
      ? this.#operation(
          sign,
          a,
          this.#deeper(() => this.#negative()),
        )
      : a;
  }

  #atom(): Expression {
    const token = this.#peek;
    const { line, column, text } = token;
    if (token.kind === "number") {
      this.#at++;
      if (!Number.isFinite(Number(text))) throw new CodeError(token, "the number is too large");
      return this.#node({ kind: "number", value: Number(text), line, column });
    }
    if (token.kind === "name") {
      this.#at++;
      if (this.#take("(")) return this.#call(token);
      return this.#node({ kind: "name", name: text, line, column });
    }
    if (this.#take("(")) {
      const inner = this.#deeper(() => this.#sum());
      if (!this.#take(")")) this.#fail("an operator or )");
      return inner;
    }
    if (this.#take("[")) {
      const items: Expression[] = [];
      this.#list("]", () => items.push(this.#sum()));
      return this.#node({ kind: "array", items, line, column });
    }
    return this.#fail("a number, a name, [ or (");
  }

  #call({ text: name, line, column }: Token): Expression {
    const args: Expression[] = [];
    const options = new Map<string, Expression>();
    this.#list(")", () => {
      const { kind, text } = this.#peek;
      if (kind !== "name" || this.#tokens[this.#at + 1].text !== "=") {
        args.push(this.#sum());
        return;
      }
      if (options.has(text)) throw new CodeError(this.#peek, `${text} is given twice`);
      this.#at += 2;
      options.set(text, this.#sum());
    });
    return this.#node({ kind: "call", name, args, options, line, column });
  }

  /** What stands between commas, up to a closing bracket. */
  #list(close: string, item: () => void): void {
    while (!this.#take(close)) {
      this.#deeper(item);
      if (this.#peek.text !== close && !this.#take(",")) this.#fail(`, or ${close}`);
    }
  }

  #operation({ text, line, column }: Token, a: Expression, b: Expression): Expression {
    return this.#node({ kind: "operation", operator: text as Operator, a, b, line, column });
  }

  #node(expression: Expression): Expression {
    if (++this.#nodes > limits.nodes)
      throw new CodeError(expression, `expected at most ${limits.nodes} operations and values`);
    return expression;
  }

  #deeper<T>(inner: () => T): T {
    if (++this.#depth > limits.depth)
      throw new CodeError(this.#peek, `expected at most ${limits.depth} brackets in one another`);
    const result = inner();
    this.#depth--;
    return result;
  }

  get #peek(): Token {
    return this.#tokens[this.#at];
  }

  /** The next token, taken, if it is one of these signs. */
  #take(...signs: string[]): Token | null {
    const token = this.#peek;
    if (token.kind !== "sign" || !signs.includes(token.text)) return null;
    this.#at++;
    return token;
  }

  #fail(expected: string): never {
    const { kind, text } = this.#peek;
    const found = kind === "line end" || kind === "end" ? "the end of the line" : text.slice(0, 24);
    throw new CodeError(this.#peek, `found ${found}, expected ${expected}`);
  }
}
