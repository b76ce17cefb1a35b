// Tests of GPT-2's tokenizer against the code of gpt-tokenizer, which provides only its vocabulary.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type BPETokenizer, loadBPE, loadGPT2Tokenizer, saveBPE, TokenizerError } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitTokens } from "#src/data/batches.js";
import { byteAlphabet } from "#src/tokenizers/bpe/alphabet.js";
import { fromTiktoken } from "#src/tokenizers/bpe/gpt2.js";
import { findCut } from "#src/tokenizers/bpe/pretokenize.js";
import { loadShakespeare } from "../support/harness.ts";
import {
  arbitraryText,
  mixedCharacters,
  toWellFormed,
  unusualTexts,
} from "../support/unusual-texts.ts";

const test = suite("tokenizers/gpt2");
const folder = mkdtempSync(join(tmpdir(), "tinybard-gpt2-"));
test.after(() => rmSync(folder, { recursive: true }));

const END = "<|endoftext|>";
let tokenizer: BPETokenizer;
test.before(() => {
  tokenizer = loadGPT2Tokenizer();
});

// loaded with require() because its types are written for browsers
const { encode: encodePeer } = createRequire(import.meta.url)(
  "gpt-tokenizer/encoding/r50k_base",
) as { encode(text: string, options: { disallowedSpecial: Set<string> }): number[] };

/** Encodes with gpt-tokenizer, special tokens as ordinary text. */
const encodeReference = (text: string) => encodePeer(text, { disallowedSpecial: new Set() });

test("50,257 tokens, 50,000 merges, and published ids", () => {
  assert.is(tokenizer.vocabSize, 50257);
  assert.is(tokenizer.vocabulary.merges.length, 50000);
  assert.equal(tokenizer.encode("Hello, world!"), [15496, 11, 995, 0]);
  assert.equal(tokenizer.encode("\n"), [198]);
  assert.equal(tokenizer.encode(END, { allowedSpecial: "all" }), [50256]);
  assert.equal(tokenizer.encode(END), [27, 91, 437, 1659, 5239, 91, 29]);
  assert.is(tokenizer.decode([15496, 50256]), `Hello${END}`);
});

test("equals gpt-tokenizer on unusual and arbitrary texts, except for U+FEFF and U+0085", () => {
  const agrees = (text: string) => {
    // gpt-tokenizer uses JavaScript's \s, tinybard uses Unicode's White_Space
    const plain = text.replace(/[\ufeff\u0085]/g, "");
    const ids = tokenizer.encode(plain);
    assert.equal(ids, encodeReference(plain), JSON.stringify(plain));
    assert.is(tokenizer.decode(tokenizer.encode(text)), toWellFormed(text));
  };
  for (const text of unusualTexts) agrees(text);
  fc.assert(fc.property(arbitraryText, agrees), { numRuns: 300 });
});

test("U+0085 is white space and U+FEFF is not, as in tiktoken and unlike JavaScript", () => {
  // expected ids from tiktoken 0.14 with GPT-2's pattern
  const cases: [text: string, ids: number[]][] = [
    [" \ufeffa", [27332, 119, 123, 64]],
    ["a \u0085!b", [64, 220, 126, 227, 0, 65]],
  ];
  for (const [text, ids] of cases) {
    assert.equal(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.not.equal(encodeReference(text), ids);
  }
});

test("Tiny Shakespeare is 301,966 and 36,059 tokens, the same as gpt-tokenizer's", () => {
  const text = loadShakespeare("its tokens in GPT-2's vocabulary");
  if (text === null) return;
  const { train, val } = splitTokens(text, tokenizer);
  assert.equal([train.length, val.length], [301966, 36059]);
  const cut = Math.floor(0.9 * text.length);
  assert.equal([...train], encodeReference(text.slice(0, cut)));
  assert.equal([...val], encodeReference(text.slice(cut)));
});

test("property: the bytes of a text encode like the text, and a text like its parts at cuts", () => {
  const agrees = (text: string, share: number) => {
    const bytes = Buffer.from(text);
    const ids = tokenizer.encode(text);
    assert.equal([...tokenizer.encodeUtf8(bytes)], ids, JSON.stringify(text));
    const cut = findCut(bytes, Math.round(share * bytes.length));
    const parts = [bytes.subarray(0, cut), bytes.subarray(cut)];
    assert.equal(
      parts.flatMap((part) => [...tokenizer.encodeUtf8(part)]),
      ids,
      `${JSON.stringify(text)} cut at byte ${cut}`,
    );
  };
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  for (const text of unusualTexts) agrees(text, 0.5);
  fc.assert(fc.property(arbitraryText, share, agrees), { numRuns: 300 });
  fc.assert(fc.property(mixedCharacters, share, agrees), { numRuns: 1000 });
});

test("file round trip", () => {
  saveBPE(folder, tokenizer);
  const fromJSON = loadBPE(folder);
  rmSync(join(folder, "tokenizer.json"));
  for (const restored of [fromJSON, loadBPE(folder)]) {
    const { tokens, special } = restored.vocabulary;
    assert.ok(tokens.every((token, id) => token === tokenizer.vocabulary.tokens[id]));
    assert.equal([...special], [[END, 50256]]);
    for (const text of unusualTexts) assert.equal(restored.encode(text), tokenizer.encode(text));
  }
});

test("an invalid tiktoken file is rejected with the line or token", () => {
  const line = (bytes: string, id: number) =>
    `${Buffer.from(bytes, "latin1").toString("base64")} ${id}`;
  const bytes = byteAlphabet.map(line);
  const small = fromTiktoken([...bytes, line("ab", 256), line("abc", 257), ""].join("\n"), END);
  assert.equal(small.encode("abcab"), [257, 256]);
  assert.is(small.vocabSize, 259);
  for (const [lines, message] of [
    [["YQ== 1"], /tiktoken: line 1 is "YQ== 1", expected a token in base64 and its id 0/],
    [["YQ==0"], /tiktoken: line 1 is "YQ==0"/],
    [["Y*== 0"], /tiktoken: line 1 is/],
    [bytes.slice(0, 255), /file has no token for "\u00ad"/],
    [[...bytes, line("abc", 256)], /token 256, "abc", is not a new merge/],
    [[...bytes, line("ab", 256), line("ab", 257)], /token 257, "ab", is not a new merge/],
  ] as const)
    assert.throws(
      () => fromTiktoken(lines.join("\n"), END),
      (error: Error) => error instanceof TokenizerError && message.test(error.message),
      String(message),
    );
});

test.run();
