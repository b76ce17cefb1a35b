// The steps of a Hugging Face tokenizer before the merges, if they are not GPT-2's: the normalizer
// changes the text, and the pre-tokenizer splits it into words.

import { quote } from "../../errors.ts";
import { TokenizerError } from "../tokenizer.ts";
import { checkWordLength, forEachWord } from "./pretokenize.ts";
import { translateRegex } from "./regex.ts";

/** The steps as they are in tokenizer.json. */
export interface TextSteps {
  normalizer: unknown;
  preTokenizer: unknown;
  postProcessor: unknown;
  /** A word that is a token is not split, even if no merges lead to it. */
  ignoresMerges: boolean;
}

type VisitWord = (bytes: Uint8Array, begin: number, end: number) => void;
type Fields = Record<string, unknown>;

/** Splits a text into words, and calls `visit` with the bytes of each. Errors begin with `op`. */
export type Splitter = (op: string, text: string, visit: VisitWord) => void;

/** Yields the parts of a text. */
type Split = (text: string) => Iterable<string>;

const forms = ["NFC", "NFD", "NFKC", "NFKD"];

/** Compiles steps to a function. Throws a TokenizerError that names a step if it is unsupported. */
export function compileSteps({ normalizer, preTokenizer }: TextSteps): Splitter {
  const normalize = compileNormalizer(normalizer);
  const splits: Split[] = [];
  let usesGPT2Pattern = false;
  let isByteLevel = false;
  for (const step of toList(preTokenizer, "pretokenizers")) {
    if (isByteLevel) fail(`pre_tokenizer has ${quote(step.type)} after ByteLevel, expected none`);
    if (step.type === "ByteLevel") {
      if (step.add_prefix_space !== false) fail("pre_tokenizer adds a prefix space, expected none");
      usesGPT2Pattern = step.use_regex !== false;
      isByteLevel = true;
    } else {
      splits.push(compileSplit(step));
    }
  }
  if (!isByteLevel) fail("pre_tokenizer has no step of type ByteLevel");
  const visitText = usesGPT2Pattern ? forEachWord : visitWhole;
  const splitFrom = (op: string, text: string, visit: VisitWord, first: number): void => {
    if (first === splits.length) visitText(op, text, visit);
    else for (const part of splits[first](text)) splitFrom(op, part, visit, first + 1);
  };
  return (op, text, visit) => splitFrom(op, normalize(text), visit, 0);
}

/** Returns the token that a post-processor puts before a text, if it does. */
export function findPrefix(postProcessor: unknown): string | null {
  if (!postProcessor) return null;
  let prefix: string | null = null;
  for (const { type, single } of toList(postProcessor, "processors")) {
    if (type === "ByteLevel") continue; // changes offsets only
    if (type !== "TemplateProcessing")
      fail(`post_processor has type ${quote(type)}, expected none`);
    const items: Fields[] = Array.isArray(single) ? single.map(checkStep) : [];
    const text = items.pop();
    const token = items.pop()?.SpecialToken as Fields | undefined;
    if (!text || !("Sequence" in text) || items.length > 0 || token === null)
      fail("post_processor adds tokens to the text, expected none or one before it");
    if (token) prefix = String(token.id);
  }
  return prefix;
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

function compileNormalizer(normalizer: unknown): (text: string) => string {
  const found = normalizer ? toList(normalizer, "normalizers") : [];
  for (const { type } of found)
    if (!forms.includes(type as string))
      fail(`normalizer has type ${quote(type)}, expected ${forms.join(", ")}`);
  return (text) => found.reduce((result, { type }) => result.normalize(type as string), text);
}

function compileSplit(step: Fields): Split {
  if (step.type === "Digits")
    return isolate(step.individual_digits === true ? /\p{N}/gu : /\p{N}+/gu);
  if (step.type !== "Split")
    fail(`pre_tokenizer has type ${quote(step.type)}, expected ByteLevel, Split, Digits, Sequence`);
  if (step.behavior !== "Isolated" || step.invert)
    fail(`pre_tokenizer has behavior ${quote(step.behavior)}, expected "Isolated", not inverted`);
  const { Regex: regex } = (step.pattern ?? {}) as Fields;
  if (typeof regex !== "string")
    fail(`pre_tokenizer has the pattern ${quote(step.pattern)}, expected a Regex`);
  return isolate(translateRegex(regex));
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
function toList(step: unknown, key: string): Fields[] {
  const { type, [key]: list } = checkStep(step);
  if (type !== "Sequence") return [step as Fields];
  if (!Array.isArray(list)) fail(`${key} is not a list`);
  return list.flatMap((item) => toList(checkNested(item), key));
}

/** Throws for a Sequence in a Sequence, whose depth a file could choose. */
function checkNested(step: unknown): Fields {
  if (checkStep(step).type === "Sequence") fail("a Sequence contains a Sequence, expected steps");
  return step as Fields;
}

function checkStep(step: unknown): Fields {
  if (typeof step !== "object" || step === null || Array.isArray(step))
    fail(`step ${quote(step)} is not a JSON object`);
  return step as Fields;
}

function fail(message: string): never {
  throw new TokenizerError(`BPETokenizer: ${message}`);
}
