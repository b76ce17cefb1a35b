// GPT-2's byte alphabet (Radford et al. 2019), the basis of byte-level BPE. Byte strings are held
// as binary strings: JavaScript strings of the characters U+0000 to U+00FF.

const utf8Encoder = new TextEncoder();

/** Returns the UTF-8 bytes of a text as a binary string. Lone surrogates are encoded as U+FFFD. */
export function encodeUtf8(text: string): string {
  let binary = "";
  for (const byte of utf8Encoder.encode(text)) binary += String.fromCharCode(byte);
  return binary;
}

/** Decodes the UTF-8 bytes in a binary string. Invalid sequences become U+FFFD. */
export function decodeUtf8(bytes: string): string {
  return decodeUtf8Bytes(toBytes(bytes));
}

/** Decodes UTF-8. Invalid sequences become U+FFFD. */
export function decodeUtf8Bytes(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Returns the bytes of a binary string. */
export function toBytes(binary: string): Uint8Array {
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const allBytes = Array.from({ length: 256 }, (_, byte) => byte);
const isPrintable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
const printable = allBytes.filter(isPrintable);
const unprintable = allBytes.filter((byte) => !isPrintable(byte));

/** The 256 bytes in the order of GPT-2's ids: first those that are printable in Latin-1. */
export const byteAlphabet: readonly string[] = [...printable, ...unprintable].map((byte) =>
  String.fromCharCode(byte),
);

// GPT-2's files write each unprintable byte as a character from U+0100 up: a space is Ġ
const byteToUnicode: string[] = Array(256);
for (const [i, byte] of byteAlphabet.entries()) {
  const isPrintable = i < printable.length;
  const character = isPrintable ? byte : String.fromCharCode(256 + i - printable.length);
  byteToUnicode[byte.charCodeAt(0)] = character;
}
const unicodeToByte = new Map(
  byteToUnicode.map((character, byte) => [character, String.fromCharCode(byte)]),
);

/** Returns a binary string in GPT-2's printable form, one character per byte. */
export function bytesToUnicode(token: string): string {
  let text = "";
  for (let i = 0; i < token.length; i++) text += byteToUnicode[token.charCodeAt(i)];
  return text;
}

/** Inverts bytesToUnicode(). Returns undefined for text that is not in GPT-2's printable form. */
export function unicodeToBytes(text: string): string | undefined {
  let token = "";
  for (const character of text) {
    const byte = unicodeToByte.get(character);
    if (byte === undefined) return undefined;
    token += byte;
  }
  return token;
}
