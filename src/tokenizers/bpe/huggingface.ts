// Conversion of BPE vocabularies to and from Hugging Face's file formats: tokenizer.json, and
// GPT-2's vocab.json with merges.txt. Files are untrusted input: anything invalid throws a
// TokenizerError.

import { quote } from "../../errors.ts";
import { TokenizerError } from "../tokenizer.ts";
import { bytesToUnicode, decodeUtf8, encodeUtf8, unicodeToBytes } from "./alphabet.ts";
import { formatSteps, isDefault, parseSteps, type TextSteps } from "./steps.ts";

export interface Vocabulary {
  /** The tokens as binary strings, indexed by id. */
  tokens: readonly string[];
  /** The merges as pairs of ids, in the order in which they apply. */
  merges: readonly (readonly [left: number, right: number])[];
  /** The ids of the special tokens, which represent no text, such as <|endoftext|>. */
  special: ReadonlyMap<string, number>;
  /** The names among `special` that do represent text, and are found in every text. */
  visible?: ReadonlySet<string>;
  /** The steps that split a text into words, if they are not GPT-2's. */
  steps?: TextSteps;
}

type Fields = Record<string, unknown>;

const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const defaultSteps = {
  normalizer: null,
  pre_tokenizer: { ...byteLevel, use_regex: true },
  post_processor: null,
};

/** Returns a vocabulary as the content of tokenizer.json, the format of Hugging Face tokenizers. */
export function toHuggingFace(vocabulary: Vocabulary): object {
  const { tokens, merges, special, visible, steps } = vocabulary;
  const specialIds = new Set(special.values());
  const ordinary = tokens
    .map((token, id): [token: string, id: number] => [bytesToUnicode(token), id])
    .filter(([, id]) => !specialIds.has(id));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...special]
      .sort(([, a], [, b]) => a - b)
      .map(([content, id]) => ({
        id,
        content,
        ...flags,
        special: !visible?.has(content),
      })),
    ...(steps ? formatSteps(steps, special) : defaultSteps),
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: steps?.ignoresMerges ?? false,
      vocab: Object.fromEntries(ordinary),
      merges: merges.map((pair) => formatMerge(tokens, pair)),
    },
  };
}

/** Returns the vocabulary in a tokenizer.json. It must be byte-level BPE; see compileSteps(). */
export function fromHuggingFace(json: unknown): Vocabulary {
  const { model, added_tokens: added, ...steps } = checkObject("tokenizer.json", json);
  const { vocab, merges, type, ...settings } = checkObject("model", model);
  // files of 2020, such as GPT-2's own, have no type, and null stands for what is missing
  if (type !== "BPE" && type !== undefined && type !== null)
    fail(`model has type ${quote(type)}, expected "BPE"`);
  for (const key of ["unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"])
    if (settings[key]) fail(`model has ${key} ${quote(settings[key])}, expected none`);
  if (settings.byte_fallback)
    fail("model has byte_fallback, as SentencePiece has; expected byte-level BPE");
  if (!Array.isArray(merges)) fail("merges is not a list");
  const { special, visible } = parseAddedTokens(added ?? []);
  const vocabulary = buildVocabulary(parseVocab(vocab), merges, special);
  const textSteps = parseSteps(steps, settings.ignore_merges === true);
  if (!isDefault(textSteps)) vocabulary.steps = textSteps;
  if (visible.size > 0) vocabulary.visible = visible;
  return vocabulary;
}

/** Returns the ids of added tokens, and the names of those that are not marked as special. */
function parseAddedTokens(list: unknown) {
  const special = new Map<string, number>();
  const visible = new Set<string>();
  if (!Array.isArray(list)) fail("added_tokens is not a list");
  for (const token of list) {
    const { id, content, special: isSpecial, ...flags } = checkObject("added token", token);
    if (typeof content !== "string" || content === "" || typeof id !== "number")
      fail(`added token ${quote(token)} has no content or no id`);
    if (flags.single_word || flags.lstrip || flags.rstrip)
      fail(`added token ${quote(content)} has single_word, lstrip or rstrip, expected none`);
    special.set(content, id);
    if (isSpecial !== true) visible.add(content);
  }
  return { special, visible };
}

/** Returns the contents of GPT-2's two files, vocab.json and merges.txt. */
export function toVocabAndMerges(vocabulary: Vocabulary): {
  "vocab.json": string;
  "merges.txt": string;
} {
  const specialNames = new Map([...vocabulary.special].map(([content, id]) => [id, content]));
  const entries = vocabulary.tokens.map((token, id) => [
    specialNames.get(id) ?? bytesToUnicode(token),
    id,
  ]);
  const merges = vocabulary.merges.map((pair) => formatMerge(vocabulary.tokens, pair));
  return {
    "vocab.json": `${JSON.stringify(Object.fromEntries(entries))}\n`,
    "merges.txt": ["#version: 0.2", ...merges, ""].join("\n"),
  };
}

/**
 * Returns the vocabulary in GPT-2's two files: the parsed vocab.json and the text of merges.txt.
 * The files do not mark special tokens: a token is special if it is neither a byte nor the result
 * of a merge.
 */
export function fromVocabAndMerges(vocab: unknown, merges: string): Vocabulary {
  const ids = parseVocab(vocab);
  const lines = merges.split(/\r?\n/);
  if (lines[0].startsWith("#version")) lines.shift();
  const pairs = lines.filter((line) => line !== "");
  const results = new Set(pairs.map((line) => line.replace(" ", "")));
  const special = [...ids].filter(
    ([token]) => !results.has(token) && unicodeToBytes(token)?.length !== 1,
  );
  return buildVocabulary(ids, pairs, new Map(special));
}

/** Returns the entries of a vocab object. buildVocabulary() checks that the ids are numbers. */
function parseVocab(vocab: unknown): Map<string, number> {
  return new Map(Object.entries(checkObject("vocab", vocab)) as [string, number][]);
}

/** Formats a merge as in the files: the two tokens separated by a space. */
function formatMerge(tokens: readonly string[], [left, right]: readonly [number, number]): string {
  return `${bytesToUnicode(tokens[left])} ${bytesToUnicode(tokens[right])}`;
}

/** Checks that the ids are 0 to n - 1, and converts tokens to bytes and merges to pairs of ids. */
function buildVocabulary(
  ids: Map<string, number>,
  merges: readonly unknown[],
  special: Map<string, number>,
): Vocabulary {
  const allIds = new Map([...ids, ...special]);
  const tokens: string[] = Array(allIds.size);
  for (const [content, id] of allIds) {
    const name = `token ${quote(content)}`;
    const token = special.has(content) ? encodeUtf8(content) : unicodeToBytes(content);
    if (!token) fail(`${name} is not a sequence of bytes in GPT-2's encoding`);
    if (!(Number.isInteger(id) && id >= 0 && id < allIds.size))
      fail(`${name} has id ${quote(id)}, expected 0 to ${allIds.size - 1}`);
    if (tokens[id] !== undefined)
      fail(`${name} has id ${id}, which is also the id of ${quote(decodeUtf8(tokens[id]))}`);
    tokens[id] = token;
  }
  const pairs = merges.map((merge, i): [left: number, right: number] => {
    const parts: unknown[] = typeof merge === "string" ? merge.split(" ") : [merge].flat();
    const [left, right] = parts.map((part) => ids.get(part as string));
    if (parts.length !== 2 || left === undefined || right === undefined)
      fail(`merge ${i + 1} is ${quote(merge)}, expected two tokens`);
    return [left, right];
  });
  return { tokens, merges: pairs, special };
}

function checkObject(name: string, value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    fail(`${name} is not a JSON object`);
  return value as Fields;
}

function fail(message: string): never {
  throw new TokenizerError(`BPETokenizer: ${message}`);
}
