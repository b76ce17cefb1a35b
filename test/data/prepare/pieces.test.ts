// Tests of the pieces that texts are cut into: encoded one by one, they have the tokens of the whole
// documents, wherever the cuts fall.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { BPETokenizer, CharTokenizer, tokenizerFromJSON, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { getCutRule } from "#src/data/prepare/cuts.js";
import { makeEncoder, toEncoderInput } from "#src/data/prepare/encode.js";
import { type Piece, type Position, readPieces, start } from "#src/data/prepare/pieces.js";
import type { Tokenizer } from "#src/tokenizers/tokenizer.js";
import { mixedCharacters, toWellFormed, unusualTexts } from "../../support/unusual-texts.ts";

const test = suite("data/prepare/pieces");
const folder = mkdtempSync(join(tmpdir(), "tinybard-pieces-"));
test.after(() => rmSync(folder, { recursive: true }));

const sample = toWellFormed(`${unusualTexts.join("\n")} aelmrstvé漢𝒳1½𝟘  \n\u00a0\u3000''!—😀`);
const tokenizers: Tokenizer[] = [
  BPETokenizer.train(sample.repeat(2), { vocabSize: 400, specialTokens: ["<|endoftext|>"] }),
  CharTokenizer.train(sample),
  WordTokenizer.train(sample, { vocabSize: 30 }), // most words are unknown
  WordTokenizer.train("\n ! a el tm", { vocabSize: 8 }),
];

interface Options {
  tokenizer: Tokenizer;
  size: number;
  separator?: string;
  keepsSeparator?: boolean;
  from?: Position;
  isGzip?: boolean;
}

/** Returns the pieces of a text, which is written to a file. */
async function cut(text: string, options: Options): Promise<Piece[]> {
  const file = join(folder, "text");
  writeFileSync(file, options.isGzip ? gzipSync(text) : text);
  const section = { file, format: "text", begin: 0, end: Number.POSITIVE_INFINITY } as const;
  const pieces: Piece[] = [];
  for await (const piece of readPieces([section], options.from ?? start, {
    rule: getCutRule(options.tokenizer),
    separator: options.separator ? Buffer.from(options.separator) : null,
    keepsSeparator: options.keepsSeparator ?? false,
    size: options.size,
  }))
    pieces.push(piece);
  return pieces;
}

type Encoder = ReturnType<typeof makeEncoder>;
const encoders = new Map<Tokenizer, Encoder>();

function getEncoder(tokenizer: Tokenizer): Encoder {
  const options = { dtype: "uint16", field: "text", lineEnd: "" } as const;
  const encoder =
    encoders.get(tokenizer) ?? makeEncoder({ ...options, tokenizer: tokenizer.toJSON() });
  encoders.set(tokenizer, encoder);
  return encoder;
}

/** Returns the tokens of the documents in pieces. */
function encode(pieces: Piece[], tokenizer: Tokenizer): number[][] {
  const encoder = getEncoder(tokenizer);
  const documents: number[][] = [];
  for (const piece of pieces) {
    const { tokens, counts } = encoder(toEncoderInput(piece));
    let begin = 0;
    for (const [i, count] of counts.entries()) {
      if (i > 0 || !piece.position.isInDocument) documents.push([]);
      documents.at(-1)?.push(...tokens.subarray(begin, begin + count));
      begin += count;
    }
  }
  return documents.filter((document) => document.length > 0);
}

const isNotEmpty = (text: string) => text !== "";
const encodeAll = (texts: string[], tokenizer: Tokenizer) =>
  texts.filter(isNotEmpty).map((text) => tokenizer.encode(text));

test("property: pieces of any size have the tokens of the whole text", async () => {
  const check = async (text: string, size: number) => {
    for (const tokenizer of tokenizers) {
      const pieces = await cut(text, { tokenizer, size });
      assert.equal(encode(pieces, tokenizer), encodeAll([text], tokenizer), JSON.stringify(text));
    }
  };
  for (const text of unusualTexts) await check(toWellFormed(text).replace(/^\ufeff/, ""), 3);
  const size = fc.integer({ min: 1, max: 20 });
  await fc.assert(fc.asyncProperty(mixedCharacters, size, check), { numRuns: 500 });
});

test("property: reading can begin at any piece", async () => {
  const tokenizer = tokenizers[2];
  const check = async (text: string, size: number, isGzip: boolean) => {
    const options = { tokenizer, size, separator: "a", isGzip };
    const pieces = await cut(text, options);
    for (const [i, { position }] of pieces.entries())
      assert.equal(await cut(text, { ...options, from: position }), pieces.slice(i));
  };
  const size = fc.integer({ min: 1, max: 20 });
  await fc.assert(fc.asyncProperty(mixedCharacters, size, fc.boolean(), check), { numRuns: 100 });
});

test("property: a separator ends documents wherever pieces end, the leftmost one first", async () => {
  const separators = ["\n", "aa", "aba", "<|>", "漢"];
  const unit = fc.constantFrom("a", "b", "\n", "<|>", "<|", "漢", " ", "aba");
  const separator = fc.constantFrom(...separators);
  const text = fc.string({ unit, maxLength: 40 });
  const size = fc.integer({ min: 1, max: 12 });
  const check = async (text: string, separator: string, size: number) => {
    const tokenizer = tokenizers[0];
    const parts = text.split(separator);
    const pieces = await cut(text, { tokenizer, size, separator });
    assert.equal(encode(pieces, tokenizer), encodeAll(parts, tokenizer));
    const kept = parts.map((part, i) => (i < parts.length - 1 ? part + separator : part));
    const whole = await cut(text, { tokenizer, size, separator, keepsSeparator: true });
    assert.equal(encode(whole, tokenizer), encodeAll(kept, tokenizer));
  };
  await fc.assert(fc.asyncProperty(text, separator, size, check), { numRuns: 500 });
});

test("a byte order mark is dropped; a second one is text", async () => {
  const [bpe] = tokenizers;
  for (const isGzip of [false, true]) {
    const pieces = await cut("\ufeff\ufeffab", { tokenizer: bpe, size: 2, isGzip });
    assert.equal(encode(pieces, bpe), [bpe.encode("\ufeffab")]);
    assert.is(pieces[0].position.offset, 3);
  }
});

test("numbers are cut after white space", async () => {
  const ids = tokenizerFromJSON({ type: "ids", vocabSize: 1000 });
  const text = "12 345\n6  78 999 ";
  for (let size = 1; size < 20; size++)
    assert.equal(encode(await cut(text, { tokenizer: ids, size }), ids), [[12, 345, 6, 78, 999]]);
});

test.run();
