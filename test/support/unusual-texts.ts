// Texts that break tokenizers: characters of several code points, lone surrogates, all kinds of
// white space, and the names of special tokens.

import fc from "fast-check";

export const unusualTexts: readonly string[] = [
  "",
  "\u0000",
  "a\u0000\u0000b",
  "a\r\n\r\nb\r\n",
  "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
  "e\u0301\u0301 n\u0303 \u0301",
  "\ufeffhi \ufeff x",
  "a \u0085 b\u0085c",
  "x\u2028y\u2029 z\u00a0\u3000!",
  "\ud800 a\udfff\ud800\ud800 b",
  "漢字かな交じり文 한국어 العربية",
  "<|endoftext|> <|endoftext|",
  "I'll don't WE'VE s's 'tis''",
  `${" ".repeat(300)}a${"\n".repeat(300)}`,
  "a".repeat(5000),
  "1234567890".repeat(50),
  "\ufffd\u{10ffff}\uffff",
];

/**
 * Generates texts of any code points, of any UTF-16 code units (with lone surrogates), or of the
 * characters in `unusualTexts` in any order.
 */
export const arbitraryText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(fc.nat({ max: 0xffff }), { maxLength: 20 })
    .map((units) => String.fromCharCode(...units)),
  fc.string({ unit: fc.constantFrom(...new Set(unusualTexts.join("")), "\ud83d", "\ude00") }),
);

/** Generates texts of letters, numbers, marks and white space of 1 to 4 bytes, and contractions. */
export const mixedCharacters = fc.string({
  unit: fc.constantFrom(..."aelmrstvé漢𝒳1½𝟘  \n\u00a0\u3000''!—😀"),
  maxLength: 30,
});

/** Replaces each lone surrogate with U+FFFD, like String.prototype.toWellFormed() of Node 20. */
export function toWellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
