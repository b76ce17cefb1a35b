// The routes for looking into a model, held to the library's own numbers.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import {
  type GPT,
  generate,
  noGrad,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  train,
} from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { device } from "#src/backend/device.js";
import { attentionMaps } from "#src/gpt/attention-maps.js";
import { loadRun } from "#src/runs/load.js";
import { quantizeRun } from "#src/runs/quantize.js";
import { modelRoutes } from "#src/web/model-routes.js";
import type { GeneratedToken, ModelInfo, TokenizedText } from "#src/web/protocol.js";
import { writeChunk } from "#src/web/responses.js";
import { RunIndex } from "#src/web/run-index.js";
import { serve } from "#src/web/server.js";
import { assertClose } from "../support/support.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-look-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\nWhether ünd wär\n".repeat(40));
const sizes = { nLayer: 2, nHead: 2, nEmbd: 16, blockSize: 8, batchSize: 4, evalIters: 1 };
const brief = { data, ...sizes, maxIters: 20, evalInterval: 10, logInterval: 10 };
const inFolder = (name: string) => join(folder, name);
const test = suite("look");
/** The last text that was written: whether the server is done with it, and came to its end. */
const last = { isDone: false, isWhole: false };
let url = "";
let close = () => {};

/** The answer to a question, whatever it is. */
async function answer(path: string, question?: object): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const options = question && { method: "POST", headers, body: JSON.stringify(question) };
  return fetch(new URL(path, url), options);
}

const json = async <T>(path: string, question?: object) =>
  (await (await answer(path, question)).json()) as T;
const numbers = async (path: string, question?: object) =>
  new Float32Array(await (await answer(path, question)).arrayBuffer());
const written = async (question: object): Promise<GeneratedToken[]> => {
  const lines = await (await answer("/generate", question)).text();
  return lines
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
};

test.before(async () => {
  setDefaultDevice("ts");
  const runs = {
    char: {},
    rotary: { positions: "rotary", norm: "rms", tokenizer: "bpe", vocabSize: 270 },
    bigram: { model: "bigram" },
  } as const;
  for (const [name, options] of Object.entries(runs))
    await train({ ...brief, device: "ts", ...options, out: inFolder(name) });
  const options = { out: inFolder("small"), bits: 8, device: device("ts") } as const;
  quantizeRun(inFolder("char"), options);
  await train({ ...brief, device: "ts", maxIters: 0, out: inFolder("fresh") });
  rmSync(join(inFolder("fresh"), "last"), { recursive: true, force: true });
  rmSync(join(inFolder("fresh"), "best"), { recursive: true, force: true });
  const routes = modelRoutes(
    new RunIndex(inFolder("char"), null, { device: "ts", peak: 1 }),
    device("ts"),
  );
  const generate: (typeof routes)[string] = async (asked) => {
    Object.assign(last, { isDone: false });
    await routes["POST /generate"](asked);
    Object.assign(last, { isDone: true, isWhole: asked.response.writableEnded });
  };
  const served = await serve({ ...routes, "POST /generate": generate }, 18400);
  url = served.url;
  close = () => {
    served.server.closeAllConnections();
    served.server.close();
  };
});
test.after(() => close());

const text = "to be, or not";

test("model: what can be looked at", async () => {
  const { tokenizer } = loadRun(inFolder("char"));
  const model = await json<ModelInfo>("/runs/char/model");
  const vocabulary = [...(tokenizer as never as { characters: string[] }).characters];
  const tables = {
    wte: { rows: vocabulary.length, columns: 16, total: vocabulary.length },
    wpe: { rows: 8, columns: 16, total: 8 },
  };
  assert.ok([10, 20].includes(model.step), `${model.step}`);
  assert.equal(
    { ...model, step: 0 },
    { step: 0, layers: 2, heads: 2, window: 8, vocabulary, tables },
  );
  const bigram = await json<ModelInfo>("/runs/bigram/model");
  assert.equal([bigram.layers, bigram.heads, bigram.window], [0, 0, 512]);
  assert.equal(Object.keys(bigram.tables), ["token_embedding_table"]);
  assert.equal(Object.keys((await json<ModelInfo>("/runs/rotary/model")).tables), ["wte"]);
});

test("tokens: of a long text the last that the model sees", async () => {
  const { tokenizer } = loadRun(inFolder("char"));
  const look = await json<TokenizedText>("/tokens", { run: "char", text });
  assert.is(look.before, 5);
  const expected = [...", or not"].map((each) => ({ id: tokenizer.encode(each)[0], text: each }));
  assert.equal(look.tokens, expected);
  const short = await json<TokenizedText>("/tokens", { run: "char", text: "be" });
  assert.equal([short.before, short.tokens.length], [0, 2]);
  assert.equal((await json<TokenizedText>("/tokens", { run: "char", text: "" })).tokens, []);
});

for (const run of ["char", "rotary", "small"])
  test(`attention: all layers' weights of ${run}`, async () => {
    const { model, tokenizer } = loadRun(inFolder(run), device("ts"));
    const ids = tokenizer.encode(text).slice(-8);
    const idx = tensor([ids], { dtype: "i32", device: "ts" });
    const expected = [...attentionMaps(model as GPT, idx)].flatMap((map) => [...map.data()]);
    const actual = await numbers("/attention", { run, text });
    assert.is(actual.length, 2 * 2 * 8 * 8);
    assertClose(actual, expected, { rtol: 1e-4, atol: 1e-6 });
  });

for (const run of ["char", "rotary", "small", "bigram"])
  test(`logits: of what follows each token of ${run}`, async () => {
    const { model, tokenizer } = loadRun(inFolder(run), device("ts"));
    const ids = tokenizer.encode("not to b");
    const idx = tensor([ids], { dtype: "i32", device: "ts" });
    const all = scope(() => noGrad(() => model.forward(idx).logits as Tensor).data());
    const V = tokenizer.vocabSize;
    for (const position of [0, ids.length - 1]) {
      const actual = await numbers("/logits", { run, text: "not to b", position });
      const expected = all.slice(position * V, (position + 1) * V);
      assertClose(actual, expected, { rtol: 1e-4, atol: 1e-5 });
    }
  });

test("generate: the library's tokens, each with the model's own probability", async () => {
  const { model, tokenizer } = loadRun(inFolder("rotary"), device("ts"));
  const sampling = { temperature: 0.8, topK: 20, topP: 0.9, seed: 4 };
  const prompt = tokenizer.encode(text);
  const ids: number[] = [];
  for await (const id of generate(model, { prompt, maxNewTokens: 30, ...sampling })) ids.push(id);
  const lines = await written({ run: "rotary", text, tokens: 30, ...sampling });
  assert.equal(
    lines.map((line) => line.id),
    ids,
  );
  const whole = tokenizer.decode([...prompt, ...ids]);
  assert.is(text + lines.map((line) => line.text).join(""), whole);
  const idx = tensor([[...prompt, ...ids].slice(-9, -1)], { dtype: "i32", device: "ts" });
  const last = (model.forward(idx).logits as Tensor).softmax().data().slice(-tokenizer.vocabSize);
  assertClose([lines[29].probability], [last[ids[29]]], { rtol: 1e-4 });
  assert.is((await written({ run: "bigram", text: "", tokens: 3 })).length, 3);
});

test("generate: others are answered meanwhile, and a client that goes away ends it", async () => {
  const away = new AbortController();
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ run: "char", text, tokens: 10_000 });
  const options = { method: "POST", headers, body, signal: away.signal };
  const { body: stream } = await fetch(new URL("/generate", url), options);
  const reader = (stream as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  // another model is loaded while the first one writes: its memory must not end
  assert.is((await answer("/tokens", { run: "bigram", text })).status, 200);
  for (let bytes = 0; bytes < 50_000; ) {
    const { value, done } = await reader.read();
    assert.not(done, "the text has ended early");
    bytes += value?.length ?? 0;
  }
  assert.not(last.isDone);
  away.abort();
  for (let i = 0; i < 200 && !last.isDone; i++) await new Promise((next) => setTimeout(next, 5));
  assert.equal(last, { isDone: true, isWhole: false });
});

test("write: waits for a client that is slow, and tells of one that is gone", async () => {
  let taken = () => {};
  const slow = new Writable({
    highWaterMark: 4,
    write: (_chunk, _encoding, done) => {
      taken = done;
    },
  });
  let isDone = false;
  const first = writeChunk(slow, "more than four").then((isThere) => {
    isDone = true;
    return isThere;
  });
  await new Promise((next) => setTimeout(next, 20));
  assert.not(isDone);
  taken();
  assert.ok(await first);
  const second = writeChunk(slow, "more than four");
  slow.destroy();
  assert.not(await second);
  assert.not(await writeChunk(slow, "a"));
});

test("tables: their rows", async () => {
  const { model } = loadRun(inFolder("char"), device("ts"));
  const { wte, wpe } = model as GPT;
  assert.equal(await numbers("/runs/char/table/wte"), wte.weight.data());
  assert.equal(await numbers("/runs/char/table/wpe"), wpe?.weight.data());
  assertClose(await numbers("/runs/small/table/wte"), wte.weight, { rtol: 0, atol: 0.02 });
  const { columns, rows } = (await json<ModelInfo>("/runs/bigram/model")).tables
    .token_embedding_table;
  assert.is((await numbers("/runs/bigram/table/token_embedding_table")).length, columns * rows);
});

test("a newer checkpoint is looked into, once it is there", async () => {
  await train({ ...brief, device: "ts", out: inFolder("live"), maxIters: 10, seed: 9 });
  const before = await numbers("/runs/live/table/wte");
  assert.equal(await numbers("/runs/live/table/wte"), before);
  await train({ resume: inFolder("live"), maxIters: 40 });
  const after = await json<ModelInfo>("/runs/live/model");
  assert.ok(after.step > 10, `${after.step}`);
  assert.not.equal(await numbers("/runs/live/table/wte"), before);
});

test("refused, in words: what is wrong or cannot be", async () => {
  const unknown = 'encode: character "😀" (U+1F600) at position 3 is not in the vocabulary';
  const ok = { run: "char", text };
  for (const [path, question, status, message] of [
    ["/tokens", { run: "char", text: "be 😀" }, 400, unknown],
    ["/attention", { run: "char", text: "be 😀" }, 400, unknown],
    ["/generate", { run: "char", text: "be 😀", tokens: 1 }, 400, unknown],
    ["/attention", { run: "bigram", text }, 400, /a bigram has no attention/],
    ["/attention", { run: "char", text: "" }, 400, "the text has no tokens"],
    ["/logits", { ...ok, position: 8 }, 400, "position is 8, expected less than 8"],
    ["/logits", { ...ok, position: -1 }, 400, /position is -1, expected 0/],
    ["/logits", ok, 400, /position is undefined/],
    ["/tokens", { run: "../char", text }, 404, "run not found: ../char"],
    ["/tokens", { run: "none", text }, 404, "run not found: none"],
    ["/tokens", { run: "fresh", text }, 409, /has no checkpoint yet/],
    ["/tokens", { ...ok, layer: 1 }, 400, "unknown field layer"],
    ["/generate", { ...ok, tokens: 0 }, 400, /tokens is 0/],
    ["/generate", { ...ok, tokens: 2, topP: 0 }, 400, /topP is 0/],
    ["/generate", { ...ok, tokens: 2, topK: 1.5 }, 400, /topK is number, expected integer/],
    ["/generate", { ...ok, tokens: 2, temperature: -1 }, 400, /temperature is -1/],
    ["/runs/char/table/lm_head", undefined, 404, "table not found: lm_head"],
    ["/runs/rotary/table/wpe", undefined, 404, "table not found: wpe"],
    ["/runs/none/model", undefined, 404, "run not found: none"],
  ] as const) {
    const response = await answer(path, question);
    const { error } = (await response.json()) as { error: string };
    assert.is(response.status, status, `${path} ${JSON.stringify(question)}: ${error}`);
    if (typeof message === "string") assert.is(error, message);
    else assert.match(error, message);
  }
});

test.run();
