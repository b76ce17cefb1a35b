// GPT-2's own tokenizer, held to gpt-tokenizer's code, of which it takes the vocabulary alone.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type BPETokenizer, loadBPE, loadGPT2Tokenizer, saveBPE, TokenizerError } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitTokens } from "#src/data/batches.js";
import { fromRanks } from "#src/tokenizers/bpe/gpt2.js";
import { byteOrder } from "#src/tokenizers/bpe/pretokenize.js";
import { shakespeare } from "../support/support.ts";
import { arbitraryText, toWellFormed, unusualTexts } from "../support/unusual-texts.ts";

const test = suite("text/gpt2");
const folder = mkdtempSync(join(tmpdir(), "tinybard-gpt2-"));
test.after(() => rmSync(folder, { recursive: true }));

const END = "<|endoftext|>";
let tokenizer: BPETokenizer;
test.before(() => {
  tokenizer = loadGPT2Tokenizer();
});

// loaded this way because its types are those of browsers
const { encode: encodeTheirs } = createRequire(import.meta.url)(
  "gpt-tokenizer/encoding/r50k_base",
) as { encode(text: string, options: { disallowedSpecial: Set<string> }): number[] };

/** gpt-tokenizer's ids, with names of special tokens as text like any other. */
const theirs = (text: string) => encodeTheirs(text, { disallowedSpecial: new Set() });

test("50,257 tokens, 50,000 merges, and ids that are in print", () => {
  assert.is(tokenizer.vocabSize, 50257);
  assert.is(tokenizer.vocabulary.merges.length, 50000);
  assert.equal(tokenizer.encode("Hello, world!"), [15496, 11, 995, 0]);
  assert.equal(tokenizer.encode("\n"), [198]);
  assert.equal(tokenizer.encode(END, { allowedSpecial: "all" }), [50256]);
  assert.equal(tokenizer.encode(END), [27, 91, 437, 1659, 5239, 91, 29]);
  assert.is(tokenizer.decode([15496, 50256]), `Hello${END}`);
});

test("as gpt-tokenizer on hostile texts, and on any: but for U+FEFF and U+0085", () => {
  const agrees = (text: string) => {
    // white space there is what JavaScript's \s says, here what Unicode says
    const plain = text.replace(/[\ufeff\u0085]/g, "");
    const ids = tokenizer.encode(plain);
    assert.equal(ids, theirs(plain), JSON.stringify(plain));
    assert.is(tokenizer.decode(tokenizer.encode(text)), toWellFormed(text));
  };
  for (const text of unusualTexts) agrees(text);
  fc.assert(fc.property(arbitraryText, agrees), { numRuns: 300 });
});

test("U+FEFF is no white space and U+0085 is, as in tiktoken, not as in JavaScript", () => {
  // what tiktoken 0.14 gives for GPT-2's pattern
  const cases: [text: string, ids: number[]][] = [
    [" \ufeffa", [27332, 119, 123, 64]],
    ["a \u0085!b", [64, 220, 126, 227, 0, 65]],
  ];
  for (const [text, ids] of cases) {
    assert.equal(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.not.equal(theirs(text), ids);
  }
});

test("Tiny Shakespeare is 301,966 and 36,059 tokens, the same as gpt-tokenizer's", () => {
  const text = shakespeare("its tokens in GPT-2's vocabulary");
  if (text === null) return;
  const { train, val } = splitTokens(text, tokenizer);
  assert.equal([train.length, val.length], [301966, 36059]);
  const cut = Math.floor(0.9 * text.length);
  assert.equal([...train], theirs(text.slice(0, cut)));
  assert.equal([...val], theirs(text.slice(cut)));
});

test("it comes back from its files", () => {
  saveBPE(folder, tokenizer);
  const fromJSON = loadBPE(folder);
  rmSync(join(folder, "tokenizer.json"));
  for (const each of [fromJSON, loadBPE(folder)]) {
    assert.ok(
      each.vocabulary.tokens.every((token, id) => token === tokenizer.vocabulary.tokens[id]),
    );
    assert.equal([...each.vocabulary.special], [[END, 50256]]);
    for (const text of unusualTexts) assert.equal(each.encode(text), tokenizer.encode(text));
  }
});

test("ranks that are none are refused by line", () => {
  const line = (bytes: string, id: number) =>
    `${Buffer.from(bytes, "latin1").toString("base64")} ${id}`;
  const bytes = byteOrder.map(line);
  const small = fromRanks([...bytes, line("ab", 256), line("abc", 257), ""].join("\n"), END);
  assert.equal(small.encode("abcab"), [257, 256]);
  assert.is(small.vocabSize, 259);
  for (const [lines, message] of [
    [["YQ== 1"], /ranks: line 1 is "YQ== 1"/],
    [["YQ==0"], /ranks: line 1 is "YQ==0"/],
    [["Y*== 0"], /ranks: line 1 is/],
    [bytes.slice(0, 255), /there is no token for "\u00ad"/],
    [[...bytes, line("abc", 256)], /no two tokens before id 256 make "abc"/],
    [[...bytes, line("ab", 256), line("ab", 257)], /no two tokens before id 257 make "ab"/],
  ] as const)
    assert.throws(
      () => fromRanks(lines.join("\n"), END),
      (error: Error) => error instanceof TokenizerError && message.test(error.message),
      String(message),
    );
});

test.run();
