// Translates the regular expressions in tokenizer.json, which Oniguruma matches, to JavaScript.
// What means something else in JavaScript, or nothing, is an error.

import { quote } from "../../errors.ts";
import { TokenizerError } from "../tokenizer.ts";

/** Letters that are equal to ASCII letters when case is ignored: long s and the kelvin sign. */
const otherCases: Record<string, string> = { s: "\u017f", k: "\u212a" };

/** Oniguruma's classes are those of Unicode: \s is White_Space, without U+FEFF. */
const classes: Record<string, string> = {
  s: "\\p{White_Space}",
  S: "\\P{White_Space}",
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  r: "\\r",
  n: "\\n",
  t: "\\t",
};

/**
 * Returns a global RegExp with the matches of an Oniguruma pattern. Supported are literals,
 * classes, properties such as \p{L}, groups, (?i:...) around literals, lookaheads and greedy
 * quantifiers. Throws a TokenizerError for anything else.
 */
export function translateRegex(pattern: string): RegExp {
  const translator = new Translator(pattern);
  const source = translator.translate();
  try {
    return new RegExp(source, "gu");
  } catch (cause) {
    throw new TokenizerError(`BPETokenizer: pattern ${quote(pattern)} is not valid`, { cause });
  }
}

class Translator {
  readonly #pattern: string;
  #index = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  translate(): string {
    const ignoresCase = [false]; // of each open group
    let source = "";
    while (this.#index < this.#pattern.length) {
      const group = /^\((\?(?:i?:|=|!))?/.exec(this.#rest());
      if (group) {
        if (group[1] === undefined && this.#rest()[1] === "?") this.#reject("a group");
        const isInsensitive = group[1] === "?i:";
        source += isInsensitive ? "(?:" : group[1] === undefined ? "(?:" : group[0];
        ignoresCase.push(isInsensitive || (ignoresCase.at(-1) as boolean));
        this.#index += group[0].length;
        continue;
      }
      if (this.#rest()[0] === ")") {
        if (ignoresCase.length === 1) this.#reject("a parenthesis");
        ignoresCase.pop();
      }
      source += this.#translateAtom(ignoresCase.at(-1) as boolean);
    }
    return source;
  }

  #rest(): string {
    return this.#pattern.slice(this.#index);
  }

  /** Translates a character, a class, an escape, or a quantifier. */
  #translateAtom(ignoresCase: boolean): string {
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})/.exec(this.#rest());
    if (quantifier) {
      this.#index += quantifier[0].length;
      if (/^[*+?]/.test(this.#rest())) this.#reject("a quantifier");
      return quantifier[0];
    }
    const character = String.fromCodePoint(this.#pattern.codePointAt(this.#index) as number);
    if ("^$.{}]".includes(character)) this.#reject(`"${character}"`);
    if (character === "[") return this.#translateClass(ignoresCase);
    if (character === "\\") return this.#translateEscape();
    this.#index += character.length;
    if ("|)".includes(character)) return character;
    return ignoresCase ? toBothCases(character) : escapeCharacter(character);
  }

  #translateClass(ignoresCase: boolean): string {
    if (ignoresCase) this.#reject("a class without regard to case");
    this.#index++;
    let source = "[";
    if (this.#rest()[0] === "^") {
      source += "^";
      this.#index++;
    }
    for (let isFirst = true; this.#rest()[0] !== "]" || isFirst; isFirst = false) {
      const code = this.#pattern.codePointAt(this.#index);
      if (code === undefined) this.#reject("a class without an end");
      const character = String.fromCodePoint(code as number);
      if ("[]".includes(character) || this.#rest().startsWith("&&")) this.#reject("a class");
      if (character === "\\") {
        source += this.#translateEscape();
        continue;
      }
      this.#index += character.length;
      source += character === "-" ? "-" : escapeCharacter(character);
    }
    this.#index++;
    return `${source}]`;
  }

  #translateEscape(): string {
    const property = /^\\[pP]\{(\^?)(\w+)\}/.exec(this.#rest());
    if (property) {
      this.#index += property[0].length;
      const isNegated = property[0][1] === "P" ? property[1] === "" : property[1] === "^";
      const name = findProperty(property[2]);
      if (name === null) this.#reject(`the property ${quote(property[2])}`);
      return `\\${isNegated ? "P" : "p"}{${name}}`;
    }
    const character = this.#rest()[1] ?? "";
    const translated = classes[character];
    if (translated === undefined && !/[!-/:-@[-`{-~ ]/.test(character))
      this.#reject(`"\\${character}"`);
    this.#index += 2;
    return translated ?? escapeCharacter(character);
  }

  #reject(what: string): never {
    const where = `at ${this.#index} of ${quote(this.#pattern)}`;
    throw new TokenizerError(`BPETokenizer: pattern has ${what} ${where}, which is not supported`);
  }
}

/** Returns the name in JavaScript of a general category, a binary property or a script. */
function findProperty(name: string): string | null {
  const candidates = [name, `Script=${name}`];
  const isValid = (candidate: string) => {
    try {
      return new RegExp(`\\p{${candidate}}`, "u") !== null;
    } catch {
      return false;
    }
  };
  return candidates.find(isValid) ?? null;
}

/** Returns a class of the characters that are equal to one when case is ignored. */
function toBothCases(character: string): string {
  const lower = character.toLowerCase();
  const upper = character.toUpperCase();
  if (lower === upper) return escapeCharacter(character);
  return `[${lower}${upper}${otherCases[lower] ?? ""}]`;
}

function escapeCharacter(character: string): string {
  return /[\\^$.*+?()[\]{}|/-]/.test(character)
    ? `\\u{${(character.codePointAt(0) as number).toString(16)}}`
    : character;
}
