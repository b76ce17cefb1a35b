// The steps of a Hugging Face tokenizer before the merges, if they are not GPT-2's: the normalizer
// changes the text, and the pre-tokenizer splits it into words.

import { quote } from "../../errors.ts";
import { TokenizerError } from "../tokenizer.ts";
import { checkWordLength, forEachWord } from "./pretokenize.ts";
import { translateRegex } from "./regex.ts";

/** The steps of a tokenizer.json, checked. */
export interface TextSteps {
  /** The Unicode normalization forms that are applied to a text. */
  normalizers: readonly string[];
  /** The steps that split a text: at matches of a pattern, or at digits. */
  splits: readonly SplitStep[];
  /** Splits what is left by GPT-2's pattern. */
  usesGPT2Pattern: boolean;
  /** The special token that a model expects before a text; null if there is none. */
  prefix: string | null;
  /** A word that is a token is not split, even if no merges lead to it. */
  ignoresMerges: boolean;
}

type SplitStep = { regex: string } | { individualDigits: boolean };

type VisitWord = (bytes: Uint8Array, begin: number, end: number) => void;
type Fields = Record<string, unknown>;

/** Splits a text into words, and calls `visit` with the bytes of each. Errors begin with `op`. */
export type Splitter = (op: string, text: string, visit: VisitWord) => void;

/** Yields the parts of a text. */
type Split = (text: string) => Iterable<string>;

const forms = ["NFC", "NFD", "NFKC", "NFKD"];

/** Checks the steps in a tokenizer.json. Throws a TokenizerError that names what is unsupported. */
export function parseSteps(
  fields: { normalizer?: unknown; pre_tokenizer?: unknown; post_processor?: unknown },
  ignoresMerges: boolean,
): TextSteps {
  const { normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor } = fields;
  const normalizers = normalizer ? toList("normalizer", normalizer, "normalizers") : [];
  const steps = toList("pre_tokenizer", preTokenizer, "pretokenizers");
  const byteLevel = steps.findIndex(({ type }) => type === "ByteLevel");
  const splits = steps.slice(0, byteLevel < 0 ? undefined : byteLevel).map(parseSplit);
  if (byteLevel < 0) fail("pre_tokenizer has no step of type ByteLevel");
  if (byteLevel < steps.length - 1) fail("pre_tokenizer has steps after ByteLevel, expected none");
  const { add_prefix_space: addsSpace, use_regex: usesPattern = true } = steps[byteLevel];
  if (addsSpace !== false) fail("pre_tokenizer adds a prefix space, expected none");
  if (typeof usesPattern !== "boolean")
    fail("pre_tokenizer has a use_regex that is neither true nor false");
  return {
    normalizers: normalizers.map(({ type }) => parseForm(type)),
    splits,
    usesGPT2Pattern: usesPattern,
    prefix: postProcessor ? parsePrefix(postProcessor) : null,
    ignoresMerges,
  };
}

/** Returns true if the steps are GPT-2's, which every vocabulary has by default. */
export function isDefault(steps: TextSteps): boolean {
  const { normalizers, splits, usesGPT2Pattern, prefix, ignoresMerges } = steps;
  const changesText = normalizers.length > 0 || splits.length > 0 || prefix !== null;
  return usesGPT2Pattern && !changesText && !ignoresMerges;
}

/** Returns the fields of tokenizer.json for steps. `special` has the ids of special tokens. */
export function formatSteps(steps: TextSteps, special: ReadonlyMap<string, number>) {
  const { normalizers, splits, usesGPT2Pattern, prefix } = steps;
  const forms = normalizers.map((type) => ({ type }));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const last = { ...byteLevel, use_regex: usesGPT2Pattern };
  return {
    normalizer: forms.length > 0 ? { type: "Sequence", normalizers: forms } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits.map(formatSplit), last] },
    post_processor: prefix === null ? null : formatPrefix(prefix, special.get(prefix) as number),
  };
}

/** Compiles steps to a function. */
export function compileSteps({ normalizers, splits, usesGPT2Pattern }: TextSteps): Splitter {
  const visitText = usesGPT2Pattern ? forEachWord : visitWhole;
  const compiled = splits.map(compileSplit);
  const splitFrom = (op: string, text: string, visit: VisitWord, first: number): void => {
    if (first === compiled.length) visitText(op, text, visit);
    else for (const part of compiled[first](text)) splitFrom(op, part, visit, first + 1);
  };
  return (op, text, visit) => {
    const normalized = normalizers.reduce((result, form) => result.normalize(form), text);
    splitFrom(op, normalized, visit, 0);
  };
}

/** Returns the token that a post-processor puts before a text; null if it adds none. */
function parsePrefix(postProcessor: unknown): string | null {
  let prefix: string | null = null;
  for (const { type, single } of toList("post_processor", postProcessor, "processors")) {
    if (type === "ByteLevel") continue; // changes offsets only
    if (type !== "TemplateProcessing")
      fail(`post_processor has type ${quote(type)}, expected none`);
    const items = Array.isArray(single)
      ? single.map((item) => checkStep("post_processor", item))
      : [];
    const text = items.pop();
    const token = items.pop()?.SpecialToken as Fields | null | undefined;
    const id = token?.id;
    const isPrefix = token === undefined || typeof id === "string";
    if (!text || !("Sequence" in text) || items.length > 0 || !isPrefix)
      fail("post_processor adds tokens to the text, expected none or one before it");
    if (typeof id === "string") prefix = id;
  }
  return prefix;
}

function formatPrefix(prefix: string, id: number) {
  const token = (type_id: number) => ({ SpecialToken: { id: prefix, type_id } });
  const text = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  return {
    type: "TemplateProcessing",
    single: [token(0), text("A", 0)],
    pair: [token(0), text("A", 0), token(1), text("B", 1)],
    special_tokens: { [prefix]: { id: prefix, ids: [id], tokens: [prefix] } },
  };
}

const utf8Encoder = new TextEncoder();

/** Visits a text as one word. */
function visitWhole(op: string, text: string, visit: VisitWord): void {
  if (text === "") return;
  checkWordLength(op, text.length);
  const bytes = utf8Encoder.encode(text);
  checkWordLength(op, bytes.length);
  visit(bytes, 0, bytes.length);
}

function parseForm(type: unknown): string {
  if (forms.includes(type as string)) return type as string;
  return fail(`normalizer has type ${quote(type)}, expected ${forms.join(", ")}`);
}

function parseSplit(step: Fields): SplitStep {
  if (step.type === "Digits") return { individualDigits: step.individual_digits === true };
  if (step.type !== "Split")
    fail(`pre_tokenizer has type ${quote(step.type)}, expected ByteLevel, Split, Digits, Sequence`);
  if (step.behavior !== "Isolated" || step.invert)
    fail(`pre_tokenizer has behavior ${quote(step.behavior)}, expected "Isolated", not inverted`);
  const { Regex: regex } = (step.pattern ?? {}) as Fields;
  if (typeof regex !== "string")
    fail(`pre_tokenizer has the pattern ${quote(step.pattern)}, expected a Regex`);
  translateRegex(regex); // throws if it is not supported
  return { regex };
}

function formatSplit(step: SplitStep): object {
  if ("individualDigits" in step)
    return { type: "Digits", individual_digits: step.individualDigits };
  const pattern = { Regex: step.regex };
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}

function compileSplit(step: SplitStep): Split {
  if ("regex" in step) return isolate(translateRegex(step.regex));
  return isolate(step.individualDigits ? /\p{N}/gu : /\p{N}+/gu);
}

/** Splits a text into matches and what lies between them. */
function isolate(pattern: RegExp): Split {
  return function* (text) {
    let end = 0;
    for (const { 0: match, index } of text.matchAll(pattern)) {
      if (match === "") continue;
      if (index > end) yield text.slice(end, index);
      yield match;
      end = index + match.length;
    }
    if (end < text.length) yield text.slice(end);
  };
}

/** Returns the steps of a Sequence, or the step itself as a list. */
function toList(name: string, step: unknown, key: string): Fields[] {
  const { type, [key]: list } = checkStep(name, step);
  if (type !== "Sequence") return [step as Fields];
  if (!Array.isArray(list)) fail(`${key} is not a list`);
  return list.map((item) => checkStep(name, item));
}

function checkStep(name: string, step: unknown): Fields {
  if (typeof step !== "object" || step === null || Array.isArray(step))
    fail(`${name} is not a JSON object`);
  return step as Fields;
}

function fail(message: string): never {
  throw new TokenizerError(`BPETokenizer: ${message}`);
}
