// What byte-level BPE knows, as data, and the two ways in which Hugging Face's programs write it
// down: tokenizer.json, and GPT-2's own vocab.json with merges.txt. Files may come from anywhere:
// whatever is wrong in them is a TokenizerError.

import { inspect } from "node:util";
import { TokenizerError } from "../tokenizer.ts";
import { spell, toBytes, toText, unspell } from "./pretokenize.ts";

export interface Vocabulary {
  /** Each token as a string of bytes; its place is its id. */
  tokens: readonly string[];
  /** The ids of two tokens that merge into one, the earliest merge first. */
  merges: readonly (readonly [left: number, right: number])[];
  /** Tokens that no text contains, such as <|endoftext|>, with their ids. */
  special: ReadonlyMap<string, number>;
}

type Fields = Record<string, unknown>;

const plainStep = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };

/** A vocabulary as the JSON that Hugging Face's tokenizers reads and writes. */
export function toHuggingFace({ tokens, merges, special }: Vocabulary): object {
  const isSpecial = new Set(special.values());
  const ordinary = tokens.flatMap((token, id) => (isSpecial.has(id) ? [] : [[spell(token), id]]));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...special]
      .sort(([, a], [, b]) => a - b)
      .map(([content, id]) => ({ id, content, ...flags, special: true })),
    normalizer: null,
    pre_tokenizer: { ...plainStep, use_regex: true },
    post_processor: null,
    decoder: { ...plainStep, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(ordinary),
      merges: merges.map((pair) => spellPair(tokens, pair)),
    },
  };
}

/** The vocabulary in a tokenizer.json, if it is byte-level BPE that cuts words as GPT-2 does. */
export function fromHuggingFace(json: unknown): Vocabulary {
  const { model, added_tokens: added = [], ...steps } = fieldsOf("tokenizer.json", json);
  const { vocab, merges, type, ...settings } = fieldsOf("model", model);
  if (type !== "BPE") fail(`model has type ${show(type)}, expected "BPE"`);
  for (const key of ["unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"])
    if (settings[key]) fail(`model has ${key} ${show(settings[key])}, expected none`);
  for (const key of ["byte_fallback", "ignore_merges"])
    if (settings[key]) fail(`model has ${key}, expected a model without`);
  if (steps.normalizer) fail("normalizer is not null: it would change the text");
  checkPlain(steps.pre_tokenizer);
  if (steps.post_processor) checkIdle(steps.post_processor);
  if (!Array.isArray(merges)) fail("merges is no list");
  return build(idsOf(vocab), merges, addedTokens(added));
}

/** Throws unless words are cut by byte-level BPE's own step, and nothing is put before the text. */
function checkPlain(step: unknown): void {
  const fields = fieldsOf("pre_tokenizer", step);
  const { type, add_prefix_space: prefix, use_regex: splits = true } = fields;
  if (type !== "ByteLevel") fail(`pre_tokenizer has type ${show(type)}, expected "ByteLevel"`);
  if (prefix !== false) fail("pre_tokenizer puts a space before the text, expected none");
  if (splits !== true) fail("pre_tokenizer does not cut words by GPT-2's pattern");
}

/** Throws if the last step adds tokens. That of transformers 5 is a template of the text alone. */
function checkIdle(step: unknown): void {
  const { type, single } = fieldsOf("post_processor", step);
  if (type === "ByteLevel") return; // about places in the text only
  if (type !== "TemplateProcessing") fail(`post_processor has type ${show(type)}, expected none`);
  const [first, ...more] = Array.isArray(single) ? single : [];
  if (more.length > 0 || !("Sequence" in fieldsOf("post_processor's template", first)))
    fail("post_processor adds tokens to the text, expected none");
}

function addedTokens(list: unknown): Map<string, number> {
  const special = new Map<string, number>();
  if (!Array.isArray(list)) fail("added_tokens is no list");
  for (const each of list) {
    const { id, content, special: isSpecial, ...flags } = fieldsOf("added token", each);
    if (typeof content !== "string" || content === "" || typeof id !== "number")
      fail(`added token ${show(each)} has no content or no id`);
    if (isSpecial !== true || flags.single_word || flags.lstrip || flags.rstrip)
      fail(`added token ${show(content)} is no plain special token`);
    special.set(content, id);
  }
  return special;
}

/** GPT-2's two files. */
export function toFiles(vocabulary: Vocabulary): { "vocab.json": string; "merges.txt": string } {
  const names = new Map([...vocabulary.special].map(([content, id]) => [id, content]));
  const entries = vocabulary.tokens.map((token, id) => [names.get(id) ?? spell(token), id]);
  const merges = vocabulary.merges.map((pair) => spellPair(vocabulary.tokens, pair));
  return {
    "vocab.json": `${JSON.stringify(Object.fromEntries(entries))}\n`,
    "merges.txt": ["#version: 0.2", ...merges, ""].join("\n"),
  };
}

/**
 * The vocabulary in GPT-2's two files, the first one parsed. They do not tell which tokens are
 * special: it is those that are neither a byte nor the result of a merge.
 */
export function fromFiles(vocab: unknown, merges: string): Vocabulary {
  const ids = idsOf(vocab);
  const lines = merges.split(/\r?\n/).filter((line, i) => line && !(i === 0 && isHead(line)));
  const made = new Set(lines.map((line) => line.replace(" ", "")));
  const special = [...ids].filter(([word]) => !made.has(word) && unspell(word)?.length !== 1);
  return build(ids, lines, new Map(special));
}

function isHead(line: string): boolean {
  return line.startsWith("#version");
}

function idsOf(vocab: unknown): Map<string, number> {
  return new Map(Object.entries(fieldsOf("vocab", vocab)) as [string, number][]);
}

/** left and right as they stand in files, with a space between. */
function spellPair(tokens: readonly string[], pair: readonly [number, number]): string {
  return pair.map((id) => spell(tokens[id])).join(" ");
}

function build(
  ids: Map<string, number>,
  merges: readonly unknown[],
  special: Map<string, number>,
): Vocabulary {
  const all = new Map([...ids, ...special]);
  const tokens: string[] = Array(all.size);
  for (const [word, id] of all) {
    const name = `token ${show(word)}`;
    const token = special.has(word) ? toBytes(word) : unspell(word);
    if (!token) fail(`${name} is no word of bytes`);
    if (!(Number.isInteger(id) && id >= 0 && id < all.size))
      fail(`${name} has id ${show(id)}, expected 0 to ${all.size - 1}`);
    if (tokens[id] !== undefined)
      fail(`${name} has id ${id}, which is that of ${show(toText(tokens[id]))}`);
    tokens[id] = token;
  }
  const pairs = merges.map((each, i): [left: number, right: number] => {
    const words: unknown[] = typeof each === "string" ? each.split(" ") : [each].flat();
    const [left, right] = words.map((word) => ids.get(word as string));
    if (words.length !== 2 || left === undefined || right === undefined)
      fail(`merge ${i + 1} is ${show(each)}, expected two tokens`);
    return [left, right];
  });
  return { tokens, merges: pairs, special };
}

function fieldsOf(name: string, value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    fail(`${name} is no JSON object`);
  return value as Fields;
}

/** A value for a message. JSON.stringify has no end to its depth, but the stack has. */
function show(value: unknown): string {
  if (typeof value !== "object") return JSON.stringify(value);
  return inspect(value, { depth: 1, breakLength: Infinity });
}

function fail(message: string): never {
  throw new TokenizerError(`BPETokenizer: ${message}`);
}
