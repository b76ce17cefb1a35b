// GPT-2's pre-tokenizer (Radford et al. 2019) on the bytes of a text in UTF-8. It splits a text by
// this pattern, where \s is Unicode's White_Space and not JavaScript's:
//
//   '(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

const LETTER = 1;
const NUMBER = 2;
const SPACE = 3;
const OTHER = 4;

const SPACE_BYTE = 0x20;
const APOSTROPHE = 0x27;

/** The kind of each character (code point); 0 until it is first seen. */
const kinds = new Uint8Array(0x110000);
for (let character = 0; character < 0x80; character++) kinds[character] = findKind(character);

function findKind(character: number): number {
  const text = String.fromCodePoint(character);
  if (/\p{L}/u.test(text)) return LETTER;
  if (/\p{N}/u.test(text)) return NUMBER;
  return /\p{White_Space}/u.test(text) ? SPACE : OTHER;
}

/** Returns the kind of the character that begins at an index of valid UTF-8. */
function kindAt(bytes: Uint8Array, index: number): number {
  const first = bytes[index];
  if (first < 0x80) return kinds[first];
  let character = ((first & 0x1f) << 6) | (bytes[index + 1] & 0x3f);
  if (first >= 0xe0) character = ((character & 0x3ff) << 6) | (bytes[index + 2] & 0x3f);
  if (first >= 0xf0) character = ((character & 0x7fff) << 6) | (bytes[index + 3] & 0x3f);
  if (character > 0x10ffff) return OTHER; // not UTF-8
  kinds[character] ||= findKind(character);
  return kinds[character];
}

/** Returns the number of bytes of a character whose first byte is known. */
function countCharacterBytes(first: number): number {
  if (first < 0xc0) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

/**
 * Returns the end of the word that begins at an index of a text: a word with the space before it, a
 * number, punctuation, or white space. `end` is the end of the text.
 */
export function findWordEnd(bytes: Uint8Array, begin: number, end: number): number {
  let index = begin;
  const first = bytes[begin];
  if (first === APOSTROPHE) {
    const length = countContractionBytes(bytes, begin, end);
    if (length > 0) return begin + length;
  } else if (first === SPACE_BYTE && begin + 1 < end) {
    index++;
  }
  const kind = kindAt(bytes, index);
  if (kind === SPACE) return findSpaceEnd(bytes, begin, end);
  while (index < end && kindAt(bytes, index) === kind) index += countCharacterBytes(bytes[index]);
  return Math.min(index, end);
}

/** Returns the end of white space without its last character, which belongs to the next word. */
function findSpaceEnd(bytes: Uint8Array, begin: number, end: number): number {
  let last = begin;
  let index = begin;
  while (index < end && kindAt(bytes, index) === SPACE) {
    last = index;
    index += countCharacterBytes(bytes[index]);
  }
  return index >= end || last === begin ? Math.min(index, end) : last;
}

/** Returns the length of 's, 't, 'm, 'd, 're, 've or 'll; 0 if the text has none of them. */
function countContractionBytes(bytes: Uint8Array, begin: number, end: number): number {
  const next = begin + 1 < end ? String.fromCharCode(bytes[begin + 1]) : "";
  if (next !== "" && "stmd".includes(next)) return 2;
  const pair = begin + 2 < end ? next + String.fromCharCode(bytes[begin + 2]) : "";
  return pair === "re" || pair === "ve" || pair === "ll" ? 3 : 0;
}

/**
 * Returns the last index of at most `end` at which a text can be cut without a change of its words,
 * whatever stands before and after the bytes: between two kinds of characters, unless the first is
 * white space or an apostrophe. Returns 0 if there is none.
 */
export function findCut(bytes: Uint8Array, end: number): number {
  let index = Math.min(end, bytes.length);
  if (index === bytes.length) index--;
  index = findCharacter(bytes, index);
  // the last character may be incomplete
  if (index + countCharacterBytes(bytes[index]) > bytes.length)
    index = findCharacter(bytes, index - 1);
  while (index > 0) {
    const before = findCharacter(bytes, index - 1);
    const kind = kindAt(bytes, before);
    const isBoundary = kind !== SPACE && kind !== kindAt(bytes, index);
    if (isBoundary && bytes[before] !== APOSTROPHE) return index;
    index = before;
  }
  return 0;
}

/** Returns the index of the first byte of the character that a byte belongs to. */
function findCharacter(bytes: Uint8Array, index: number): number {
  let begin = index;
  while (begin > 0 && isContinuation(bytes[begin])) begin--;
  return begin;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** The maximum length of a word in bytes. Merging the tokens of one takes memory and seconds. */
const MAX_WORD_BYTES = 2 ** 24;

/** The bytes after a word that its end may depend on: those of the contraction 're. */
const LOOKAHEAD = 3;

const utf8Encoder = new TextEncoder();

/**
 * Calls `visit` with the bytes of each word of a text, in a buffer that is reused. Lone surrogates
 * are encoded as U+FFFD. Throws a RangeError that begins with `op` if a word is too long.
 */
export function forEachWord(
  op: string,
  text: string,
  visit: (bytes: Uint8Array, begin: number, end: number) => void,
): void {
  let buffer = new Uint8Array(Math.max(16, Math.min(3 * text.length, 2 ** 16)));
  let filled = 0;
  let position = 0; // in the text
  while (position < text.length || filled > 0) {
    // a slice, because encodeInto() flattens all of the string that it is passed
    const slice = sliceCharacters(text, position, Math.floor((buffer.length - filled) / 3));
    filled += utf8Encoder.encodeInto(slice, buffer.subarray(filled)).written;
    position += slice.length;
    const isLast = position >= text.length;
    let begin = 0;
    while (begin < filled) {
      const end = findWordEnd(buffer, begin, filled);
      checkWordLength(op, end - begin, !isLast && end === filled);
      if (!isLast && end + LOOKAHEAD > filled) break;
      visit(buffer, begin, end);
      begin = end;
    }
    buffer.copyWithin(0, begin, filled);
    filled -= begin;
    if (2 * filled > buffer.length) {
      const larger = new Uint8Array(2 * buffer.length);
      larger.set(buffer.subarray(0, filled));
      buffer = larger;
    }
  }
}

/**
 * Returns up to `length` UTF-16 code units of a text, without half of a surrogate pair at the end.
 */
function sliceCharacters(text: string, position: number, length: number): string {
  const end = position + length;
  const isPairCut = end < text.length && (text.codePointAt(end - 1) as number) > 0xffff;
  return text.slice(position, isPairCut ? end - 1 : end);
}

/**
 * Throws a RangeError that begins with `op` if a word has too many bytes, perhaps more than these.
 */
export function checkWordLength(op: string, length: number, hasMore = false): void {
  if (length <= MAX_WORD_BYTES) return;
  const sizes = `${length}${hasMore ? " or more" : ""} bytes, expected at most ${MAX_WORD_BYTES}`;
  throw new RangeError(`${op}: the text has a word, or a run of spaces or marks, of ${sizes}`);
}
