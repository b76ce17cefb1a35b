// Lesson 13: Tokenizers: bytes, characters, words, and byte-pair encoding
//
// A model knows numbers from 0 to V - 1 and nothing of letters. What a number stands for is decided
// before any training. Short pieces (bytes, characters) need few numbers and know every text, but
// make long sequences. Words make short ones, and know only the words that they have met.
// Byte-pair encoding takes the middle: it begins with bytes and joins what often stands together.

import { BPETokenizer, CharTokenizer, loadCorpus } from "tinybard";
import { chart, show } from "./picture.ts";

/** GPT-2's first cut: words with the space before them, numbers, marks. No merge crosses a cut. */
const WORD = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A new token: the two that it joins, and how often they stood side by side. */
export interface Merge {
  left: string;
  right: string;
  count: number;
}

/**
 * Byte-pair encoding: whatever pair of neighbours is the commonest becomes a token, again and
 * again. Tokens are strings of bytes. Gage (1994); Sennrich, Haddow and Birch (2016).
 */
export function learn(
  text: string,
  merges: number,
  tell = (_merge: Merge, _number: number) => {},
): Merge[] {
  const words = new Map<string, { tokens: string[]; count: number }>(); // each different word once
  for (const [word] of text.matchAll(WORD)) {
    const known = words.get(word) ?? { tokens: bytesOf(word), count: 0 };
    words.set(word, { ...known, count: known.count + 1 });
  }
  const learned: Merge[] = [];
  const age = new Map(BYTES.map((byte, i) => [byte, i])); // of equally common pairs the oldest wins
  const older = (a: string, b: string) => (age.get(a) as number) - (age.get(b) as number);
  while (learned.length < merges) {
    const pairs = new Map<string, Merge>();
    for (const { tokens, count } of words.values()) {
      for (let i = 1; i < tokens.length; i++) {
        const [left, right] = [tokens[i - 1], tokens[i]];
        const key = `${left.length} ${left}${right}`;
        const pair = pairs.get(key) ?? { left, right, count: 0 };
        pair.count += count;
        pairs.set(key, pair);
      }
    }
    const isBetter = (a: Merge, b: Merge) =>
      a.count - b.count || older(b.left, a.left) || older(b.right, a.right);
    const best = [...pairs.values()].reduce((a, b) => (isBetter(b, a) > 0 ? b : a));
    for (const word of words.values()) word.tokens = join(word.tokens, best);
    age.set(best.left + best.right, age.size);
    learned.push(best);
    tell(best, learned.length);
  }
  return learned;
}

/** The tokens with every pair of the merge made one, from left to right. */
function join(tokens: string[], { left, right }: Merge): string[] {
  if (!tokens.includes(left)) return tokens;
  const joined: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) joined.push(left + tokens[++i]);
    else joined.push(tokens[i]);
  }
  return joined;
}

/** The tokens of a text: its bytes, joined in the order in which the merges were learned. */
export function encode(text: string, merges: readonly Merge[]): string[] {
  const known = new Map<string, string[]>();
  return Array.from(text.matchAll(WORD), ([word]) => {
    if (!known.has(word)) known.set(word, merges.reduce(join, bytesOf(word)));
    return known.get(word) as string[];
  }).flat();
}

/** Each byte of a text in UTF-8 as a character of its own, U+0000 to U+00FF. */
function bytesOf(text: string): string[] {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
}

/** The bytes in GPT-2's order: those that can be printed come first. */
const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).sort(
  (a, b) => Number(isPrinted(b)) - Number(isPrinted(a)),
);

function isPrinted(byte: string): boolean {
  return /[!-~¡-¬®-ÿ]/.test(byte);
}

/** Tokens side by side, to look at. */
function display(tokens: readonly string[]): string {
  const text = (token: string) => Buffer.from(token, "latin1").toString("utf8");
  return tokens.map(text).join("|").replaceAll(" ", "␣").replaceAll("\n", "⏎");
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const [train, rest] = [text.slice(0, 100_000), text.slice(-30_000)];

  // Bytes. UTF-8 writes every text with numbers below 256: the smallest vocabulary that lacks
  // nothing. Only ASCII has a byte for a character.
  const hello = [...new TextEncoder().encode("Hello")];
  console.log(`"Hello" in bytes: ${hello.join(" ")}   ("hello" begins with 104)`);
  for (const each of ["é", "€", "🙂", "👩‍🚀"])
    console.log(`  ${each}  characters: ${[...each].length}, bytes: ${bytesOf(each).length}`);

  // Characters: those that the text has. Another one has no number, and that is an error.
  const characters = CharTokenizer.train(text);
  const refused = attempt(() => characters.encode("naïve €"));
  console.log(
    `\n${name} has ${characters.vocabSize} characters; of "naïve €" it says:\n  ${refused}`,
  );

  // Words. Most of a text is a few words, most of a vocabulary is words that occur once; and text
  // that nobody has seen has words that nobody has seen.
  const words = train.match(WORD) ?? [];
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const once = [...counts.values()].filter((count) => count === 1).length;
  const later = rest.match(WORD) ?? [];
  const unknown = later.filter((word) => !counts.has(word)).length / later.length;
  console.log(`\n${words.length} words, ${counts.size} different ones, ${once} of them only once.`);
  console.log(`Later in the text ${percent(unknown)} of the words are unknown.`);

  // Byte-pair encoding, trained on the spot.
  console.log(`\nlearning from ${train.length} characters (␣ is a space, ⏎ a new line):`);
  const merges = learn(train, 512, ({ left, right, count }, i) => {
    if (i > 12 && i % 128 !== 0) return;
    const [pair, token] = [display([left, right]).padEnd(9), display([left + right]).padEnd(9)];
    console.log(`  ${String(i).padStart(3)}  ${pair} -> ${token} ${count} times`);
  });
  const sentence = rest.slice(rest.indexOf("\n") + 1).match(/[A-Z][^.]{50,90}/)?.[0] ?? "";
  for (const m of [0, 64, 512])
    console.log(`\n${m} merges: ${display(encode(sentence, merges.slice(0, m)))}`);

  // The library learns the same, without counting all pairs again for each merge.
  const library = BPETokenizer.train(train, { vocabSize: 256 + merges.length });
  const { tokens, merges: theirs } = library.vocabulary;
  const equal = merges.filter(({ left, right }, i) => {
    return tokens[theirs[i][0]] === left && tokens[theirs[i][1]] === right;
  }).length;
  const mine = encode(rest, merges);
  const isSame = library.encode(rest).every((id, i) => tokens[id] === mine[i]);
  console.log(`\nBPETokenizer learns ${equal} of ${merges.length} merges the same; so`);
  console.log(`it cuts text not seen ${isSame ? "in the same places" : "elsewhere"}`);

  // What it buys: fewer tokens for the same text, so that a block reaches further back, and each
  // step of training sees more of it. What it costs: a row of the embedding and of the head each.
  const sizes = [0, 16, 32, 64, 128, 256, 512];
  const ratio = (part: string) =>
    sizes.map((m) => [256 + m, part.length / encode(part, merges.slice(0, m)).length] as const);
  const [seen, unseen] = [ratio(train.slice(0, 30_000)), ratio(rest)];
  console.log("\nvocabulary   characters per token   in text not seen");
  for (const [i, [size, each]] of seen.entries()) {
    const columns = [each.toFixed(2).padStart(23), unseen[i][1].toFixed(2).padStart(19)];
    console.log(`${String(size).padStart(10)}${columns.join("")}`);
  }
  const curves = [
    { name: "seen text", points: seen },
    { name: "text not seen", points: unseen },
  ];
  show(chart(curves, { title: "characters per token", x: "vocabulary" }), "lesson-13");

  // The oddities of language models begin here. A word is another token with a space before it, in
  // capitals, at a line's beginning. And numbers are cut wherever the training text had it.
  const years = Array.from({ length: 126 }, (_, i) => `in ${1900 + i} `.repeat(1 + i)).join("");
  const numbers = learn(years, 40);
  const odd = (what: string[], by: Merge[]) => what.map((each) => display(encode(each, by)));
  const spaces = odd(["the", " the", "The", " THE", "   the"], merges);
  const figures = odd([" 2019", " 2091", " 1066", " 20190"], numbers);
  console.log(`One word:    ${spaces.join("    ")}`);
  console.log(`Numbers, learned from years:    ${figures.join("    ")}`);
  console.log(
    `A model that is to add 2019 and 2091 sees tokens of unequal length, cut in
unequal places.`,
  );
  console.log(`
Exercises
1. Learn without the first cut: let WORD be /[^]+/u. Which tokens come out, and why are they bad?
2. Encode Python or TypeScript with these merges: how many tokens are spaces? What would help?
3. The byte tokens of é are no text, each by itself. What must a program that prints token after
   token do, and what does decoder() of BPETokenizer do?`);
  const parts = { spaces, figures };
  return { hello, refused, unknown, merges, equal, isSame, seen, unseen, ...parts };
}

/** The message of the error that a function throws. */
function attempt(task: () => unknown): string {
  try {
    return `no error: ${task()}`;
  } catch (error) {
    return (error as Error).message;
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
