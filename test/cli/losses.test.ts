// The loss per character and per byte, of texts in memory and of token shards.

import { CharTokenizer, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { formatTextLoss } from "#src/cli/losses.js";
import { splitTokens } from "#src/data/batches.js";
import { toSource } from "#src/data/tokens.js";

const test = suite("losses");
const text = "the cat sat on the mat\n".repeat(100);

test("word tokens of a text and of shards: bits per byte, and the share of unknown words", () => {
  const tokenizer = WordTokenizer.train(text, { vocabSize: 5 });
  const { train, val } = splitTokens(text, tokenizer);
  const unknown = val.filter((id) => id === WordTokenizer.unknown).length;
  const percent = ((100 * unknown) / val.length).toFixed(1);
  const note = `(${percent} % of the tokens are <unk>, whose spelling is not counted)`;
  const bits = ((2 * val.length) / Math.LN2 / 230).toFixed(4); // a tenth of 2300 bytes
  const nats = ((2 * val.length) / 230).toFixed(4);
  const inMemory = formatTextLoss(2, { text, tokens: { train, val }, tokenizer });
  assert.equal(inMemory, [`val loss per character: ${nats}, ${bits} bits per byte ${note}`]);
  const shards = { ...toSource(val), textBytes: 230 };
  const ofShards = formatTextLoss(2, { text: "", tokens: { train, val: shards }, tokenizer });
  assert.equal(ofShards, [`val loss in bits per byte: ${bits} ${note}`]);
});

test("no lines for characters, and before an evaluation", () => {
  const tokenizer = CharTokenizer.train(text);
  const tokens = splitTokens(text, tokenizer);
  assert.equal(formatTextLoss(2, { text, tokens, tokenizer }), []);
  const words = WordTokenizer.train(text, { vocabSize: 5 });
  assert.equal(formatTextLoss(null, { text, tokens, tokenizer: words }), []);
});

test.run();
