// Lesson 13: Tokenizers: bytes, characters, words, and byte-pair encoding
//
// A model only knows ids from 0 to V - 1. What an id stands for is decided before training. Short
// tokens (bytes, characters) need a small vocabulary and can encode any text, but they make long
// sequences. Words make short sequences, but a word that is not in the vocabulary cannot be
// encoded. Byte-pair encoding is the compromise: it starts with bytes and merges frequent pairs.
//
// Time: 2 seconds.

import { BPETokenizer, CharTokenizer, loadCorpus } from "tinybard";
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { percent, say } from "./print.ts";

/**
 * GPT-2's pre-tokenizer: words with the space before them, numbers, and punctuation. Merges never
 * cross the boundary between two matches.
 */
const PATTERN = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A learned token: the pair that it merges, and how often that pair occurred. */
export interface Merge {
  left: string;
  right: string;
  count: number;
}

/**
 * Learns byte-pair encoding: merges the most frequent pair of adjacent tokens into a new token, and
 * repeats. A token is a string of bytes. Gage (1994); Sennrich, Haddow and Birch (2016).
 */
export function learnMerges(text: string, mergeCount: number, pattern = PATTERN): Merge[] {
  const words = countWords(text, pattern);
  const ids = new Map(BYTES.map((byte, id) => [byte, id]));
  const merges: Merge[] = [];
  while (merges.length < mergeCount) {
    const best = findBestPair(countPairs(words), ids);
    for (const word of words) word.tokens = applyMerge(word.tokens, best);
    ids.set(best.left + best.right, ids.size);
    merges.push(best);
  }
  return merges;
}

/** A distinct word of the text as tokens, with its number of occurrences. */
interface Word {
  tokens: string[];
  count: number;
}

function countWords(text: string, pattern: RegExp): Word[] {
  const words = new Map<string, Word>();
  for (const [match] of text.matchAll(pattern)) {
    const word = words.get(match) ?? { tokens: toBytes(match), count: 0 };
    word.count++;
    words.set(match, word);
  }
  return [...words.values()];
}

function countPairs(words: readonly Word[]): Merge[] {
  const pairs = new Map<string, Merge>();
  for (const { tokens, count } of words) {
    for (let i = 1; i < tokens.length; i++) {
      const left = tokens[i - 1];
      const right = tokens[i];
      const key = `${left.length} ${left}${right}`; // the length says where the right one starts
      const pair = pairs.get(key) ?? { left, right, count: 0 };
      pair.count += count;
      pairs.set(key, pair);
    }
  }
  return [...pairs.values()];
}

/** Returns the most frequent pair. Ties: the pair with the lowest ids. */
function findBestPair(pairs: readonly Merge[], ids: ReadonlyMap<string, number>): Merge {
  const id = (token: string) => ids.get(token) as number;
  const compare = (a: Merge, b: Merge) =>
    b.count - a.count || id(a.left) - id(b.left) || id(a.right) - id(b.right);
  return pairs.reduce((best, pair) => (compare(pair, best) < 0 ? pair : best));
}

/** Returns the tokens with each occurrence of the pair merged, from left to right. */
function applyMerge(tokens: string[], { left, right }: Merge): string[] {
  if (!tokens.includes(left)) return tokens;
  const merged: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      merged.push(left + right);
      i++; // skips the right token
    } else {
      merged.push(tokens[i]);
    }
  }
  return merged;
}

/** Splits a text into bytes and applies the merges in the order in which they were learned. */
export function encode(text: string, merges: readonly Merge[]): string[] {
  const cache = new Map<string, string[]>();
  const words = text.match(PATTERN) ?? [];
  return words.flatMap((word) => {
    const tokens = cache.get(word) ?? merges.reduce(applyMerge, toBytes(word));
    cache.set(word, tokens);
    return tokens;
  });
}

/** Returns the UTF-8 bytes of a text, each as a character from U+0000 to U+00FF. */
function toBytes(text: string): string[] {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
}

/** The 256 bytes in GPT-2's order: printable ones first. */
const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).sort(
  (a, b) => Number(isPrintable(b)) - Number(isPrintable(a)),
);

function isPrintable(byte: string): boolean {
  return /[!-~¡-¬®-ÿ]/.test(byte);
}

/** Formats tokens for display, separated by "|". */
export function format(tokens: readonly string[]): string {
  const toByte = (character: string) => character.charCodeAt(0);
  const toText = (token: string) => new TextDecoder().decode(Uint8Array.from(token, toByte));
  return tokens.map(toText).join("|").replaceAll(" ", "␣").replaceAll("\n", "⏎");
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const train = text.slice(0, 100_000);
  const val = text.slice(-30_000);

  say(`Bytes. UTF-8 encodes any text as numbers below 256: the smallest vocabulary without unknown
    tokens. But only ASCII characters are a single byte.`);
  const hello = [...new TextEncoder().encode("Hello")];
  console.log(`"Hello" in bytes: ${hello.join(" ")}   ("hello" begins with 104)`);
  for (const sample of ["é", "€", "🙂", "👩‍🚀"])
    console.log(`  ${sample}  characters: ${[...sample].length}, bytes: ${toBytes(sample).length}`);

  say(`Characters. Only those in the training text have an id; any other character is an error.`);
  const charTokenizer = CharTokenizer.train(text);
  const charError = errorMessage(() => charTokenizer.encode("naïve €"));
  console.log(`${name} has ${charTokenizer.vocabSize} distinct characters. Encoding "naïve €":`);
  console.log(`  ${charError}`);

  say(`Words. A few words make up most of the text, but most of the vocabulary occurs only once, and
    new text has new words.`);
  const words = train.match(PATTERN) ?? [];
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const singletons = [...counts.values()].filter((count) => count === 1).length;
  const valWords = val.match(PATTERN) ?? [];
  const unknown = valWords.filter((word) => !counts.has(word)).length / valWords.length;
  console.log(`${words.length} words, ${counts.size} distinct, ${singletons} of them only once.`);
  console.log(`In text from the end of the corpus, ${percent(unknown)} of the words are unknown.`);

  const merges = learnMerges(train, 512);
  console.log(`\nmerges learned from ${train.length} characters (␣ is a space, ⏎ a newline):`);
  for (const [i, { left, right, count }] of merges.entries()) {
    const number = i + 1;
    if (number > 12 && number % 128 !== 0) continue;
    const pair = format([left, right]).padEnd(9);
    const token = format([left + right]).padEnd(9);
    console.log(`  ${String(number).padStart(3)}  ${pair} -> ${token} ${count} times`);
  }
  const sentence = val.slice(val.indexOf("\n") + 1).match(/[A-Z][^.]{50,90}/)?.[0] ?? "";
  for (const count of [0, 64, 512])
    console.log(`\n${count} merges: ${format(encode(sentence, merges.slice(0, count)))}`);

  say(`The library learns the same merges, without recounting all pairs for each of them.`);
  const library = BPETokenizer.train(train, { vocabSize: 256 + merges.length });
  const { tokens, merges: libraryMerges } = library.vocabulary;
  const equalMerges = merges.filter(({ left, right }, i) => {
    const [leftId, rightId] = libraryMerges[i];
    return tokens[leftId] === left && tokens[rightId] === right;
  }).length;
  const encoded = encode(val, merges);
  const isSame = library.encode(val).every((id, i) => tokens[id] === encoded[i]);
  console.log(`${equalMerges} of ${merges.length} merges are equal to those of BPETokenizer,`);
  console.log(`which encodes new text ${isSame ? "the same way" : "differently"}.`);

  say(`The benefit of merges: fewer tokens for the same text, so a block covers more text, and so
    does each training step. The cost: each token adds a row to the embedding and to the head.`);
  const mergeCounts = [0, 16, 32, 64, 128, 256, 512];
  const compression = (part: string) =>
    mergeCounts.map((count) => {
      const encoded = encode(part, merges.slice(0, count));
      return [256 + count, part.length / encoded.length] as const;
    });
  const trainCurve = compression(train.slice(0, 30_000));
  const valCurve = compression(val);
  console.log("             characters per token");
  console.log("vocabulary   training text   new text");
  for (const [i, [vocabSize, ratio]] of trainCurve.entries()) {
    const columns = ratio.toFixed(2).padStart(16) + valCurve[i][1].toFixed(2).padStart(11);
    console.log(String(vocabSize).padStart(10) + columns);
  }
  const curves = [
    { name: "training text", points: trainCurve },
    { name: "new text", points: valCurve },
  ];
  const title = "characters per token";
  show(lineChart(curves, { title, xLabel: "vocabulary size" }), "lesson-13");

  say(`Some oddities of language models start here. A word is a different token after a space, in
    capitals and at the start of a line. Numbers are split as the training text happens to
    suggest.`);
  const years = Array.from({ length: 126 }, (_, i) => `in ${1900 + i} `.repeat(1 + i)).join("");
  const yearMerges = learnMerges(years, 40);
  const spellings = ["the", " the", "The", " THE", "   the"].map((s) => format(encode(s, merges)));
  const numbers = [" 2019", " 2091", " 1066", " 20190"].map((s) => format(encode(s, yearMerges)));
  console.log(`One word in five spellings:  ${spellings.join("    ")}`);
  console.log(`Numbers, learned from years: ${numbers.join("    ")}`);
  console.log(
    "A model that adds 2019 and 2091 sees tokens of different lengths, split differently.",
  );

  console.log(`
Exercises
1. Learn without pre-tokenization: pass the pattern /[\\s\\S]+/gu to learnMerges(). Which tokens
   appear, and why are they bad?
2. Encode Python or TypeScript with these merges. How many tokens are spaces? What would help?
3. The two byte tokens of é are not valid text on their own. What must a program do that prints
   token after token, and what does decoder() of BPETokenizer do?`);
  return {
    hello,
    charError,
    unknown,
    merges,
    equalMerges,
    isSame,
    trainCurve,
    valCurve,
    spellings,
    numbers,
  };
}

/** Returns the message of the error that a function throws. */
function errorMessage(fn: () => unknown): string {
  try {
    return `no error: ${fn()}`;
  } catch (error) {
    return (error as Error).message;
  }
}
