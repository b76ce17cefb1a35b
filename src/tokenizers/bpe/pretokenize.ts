// What byte-level tokenizers share, all of it GPT-2's (Radford et al. 2019): the words that a text
// is cut into before anything merges, and how bytes are written in its files. A string of bytes is
// held as a string here whose characters, U+0000 to U+00FF, are the bytes.

/** White space as Unicode has it. JavaScript's \s has U+FEFF more and U+0085 less. */
const space = "\\p{White_Space}";
const words = new RegExp(
  [
    "'(?:s|t|re|ve|m|ll|d)",
    " ?\\p{L}+",
    " ?\\p{N}+",
    ` ?[^${space}\\p{L}\\p{N}]+`,
    `${space}+(?!\\P{White_Space})`, // the last space before a word belongs to the word
    `${space}+`,
  ].join("|"),
  "gu",
);

/**
 * Cuts a text into words with the space before them, numbers, marks and white space, by GPT-2's
 * pattern. Nothing is lost: the pieces, joined, are the text.
 */
export function* splitWords(text: string): Generator<string> {
  for (const [word] of text.matchAll(words)) yield word;
}

/** The bytes of a text in UTF-8. A lone surrogate counts as U+FFFD. */
export function toBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The text of bytes in UTF-8. What is none gives U+FFFD, as TextDecoder does it. */
export function toText(bytes: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(bytes, "latin1"));
}

const all = Array.from({ length: 256 }, (_, byte) => byte);
const isVisible = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
const [visible, others] = [all.filter(isVisible), all.filter((byte) => !isVisible(byte))];

/** The bytes in the order of GPT-2's ids: those that Latin-1 can show first. */
export const byteOrder: readonly string[] = [...visible, ...others].map((byte) =>
  String.fromCharCode(byte),
);

// a byte that cannot be shown is written as one of the characters from U+0100 on: a space is Ġ
const letters = new Map(
  byteOrder.map((byte, i) => [
    byte,
    i < visible.length ? byte : String.fromCharCode(256 + i - visible.length),
  ]),
);
const bytes = new Map([...letters].map(([byte, letter]) => [letter, byte]));

/** Bytes as GPT-2's files write them, a character each. */
export function spell(token: string): string {
  return Array.from(token, (byte) => letters.get(byte)).join("");
}

/** The bytes that a word of GPT-2's files stands for; undefined if it is no such word. */
export function unspell(word: string): string | undefined {
  let token = "";
  for (const letter of word) {
    const byte = bytes.get(letter);
    if (byte === undefined) return undefined;
    token += byte;
  }
  return token;
}
