// The lexer of the expression language: splits code into tokens with their positions.

/** A position in the code. Lines and columns count from 1. */
export interface Position {
  line: number;
  column: number;
}

/** An error in the code with its position: `line 2, column 5: ...`. */
export class CodeError extends Error {
  override name = "CodeError";

  constructor({ line, column }: Position, problem: string) {
    super(`line ${line}, column ${column}: ${problem}`);
  }
}

type TokenKind = "number" | "name" | "symbol" | "line end" | "end";
export type Token = Position & { kind: TokenKind; text: string };

/** The sticky patterns of all tokens, and of spaces and comments. */
const patterns: readonly (readonly [kind: TokenKind | "space", pattern: RegExp])[] = [
  ["space", /[ \t\r]+|#[^\n]*/y],
  ["line end", /\n/y],
  ["number", /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ["name", /[A-Za-z_]\w*/y],
  ["symbol", /\*\*|[-+*/@()[\],=]/y],
];

/**
 * Splits code into tokens. A line continues as long as a bracket is open. Throws a CodeError for an
 * unknown character.
 */
export function tokenize(code: string): Token[] {
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
