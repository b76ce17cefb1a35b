// The routes that inspect a model, compared with the library's own results.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
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
import { device } from "#src/backend/devices.js";
import { attentionMaps } from "#src/gpt/attention-maps.js";
import { loadRun } from "#src/runs/load.js";
import { quantizeRun } from "#src/runs/quantize.js";
import { createModelRoutes } from "#src/web/model-routes.js";
import type { ChatText, GeneratedToken, ModelInfo, TokenizedText } from "#src/web/protocol.js";
import { writeChunk } from "#src/web/responses.js";
import { RunIndex } from "#src/web/run-index.js";
import { serve } from "#src/web/server.js";
import { assertClose } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-model-routes-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\nWhether ünd wär\n".repeat(40));
const sizes = { nLayer: 2, nHead: 2, nEmbd: 16, blockSize: 8, batchSize: 4, evalIters: 1 };
const baseOptions = {
  data,
  device: "ts",
  ...sizes,
  maxIters: 20,
  evalInterval: 10,
  logInterval: 10,
} as const;
const inFolder = (name: string) => join(folder, name);
const test = suite("web/model-routes");
/** The last generation: whether its handler has returned, and has sent the complete response. */
const lastGeneration = { isDone: false, isComplete: false };
let url = "";
let close = () => {};

/** Sends a GET request, or a POST request if there is a body. */
async function send(path: string, body?: object): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const options = body && { method: "POST", headers, body: JSON.stringify(body) };
  return fetch(new URL(path, url), options);
}

async function fetchJSON<T>(path: string, body?: object): Promise<T> {
  const response = await send(path, body);
  return (await response.json()) as T;
}

async function fetchFloats(path: string, body?: object): Promise<Float32Array> {
  const response = await send(path, body);
  return new Float32Array(await response.arrayBuffer());
}

async function fetchGeneration(body: object): Promise<GeneratedToken[]> {
  const response = await send("/generate", body);
  const lines = (await response.text()).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

test.before(async () => {
  setDefaultDevice("ts");
  const runs = {
    char: {},
    rotary: {
      positions: "rotary",
      norm: "rms",
      qkNorm: true,
      logitSoftcap: 15,
      tokenizer: "bpe",
      vocabSize: 270,
    },
    bigram: { model: "bigram" },
  } as const;
  for (const [name, options] of Object.entries(runs))
    await train({ ...baseOptions, ...options, out: inFolder(name) });
  quantizeRun(inFolder("char"), { out: inFolder("small"), bits: 8, device: device("ts") });
  await train({ ...baseOptions, maxIters: 0, out: inFolder("fresh") }); // without a checkpoint
  rmSync(join(inFolder("fresh"), "last"), { recursive: true, force: true });
  rmSync(join(inFolder("fresh"), "best"), { recursive: true, force: true });
  const routes = createModelRoutes(
    new RunIndex(inFolder("char"), null, { device: "ts", peak: 1 }),
    device("ts"),
  );
  const generateAndObserve: (typeof routes)[string] = async (context) => {
    lastGeneration.isDone = false;
    await routes["POST /generate"](context);
    lastGeneration.isDone = true;
    lastGeneration.isComplete = context.response.writableEnded;
  };
  const allRoutes = { ...routes, "POST /generate": generateAndObserve };
  const served = await serve(allRoutes, 18400);
  url = served.url;
  close = () => {
    served.server.closeAllConnections();
    served.server.close();
  };
});
test.after(() => close());

const text = "to be, or not";

async function fetchAnswer(body: object): Promise<string> {
  const response = await send("/chat", body);
  const lines = (await response.text()).split("\n").filter((line) => line !== "");
  return lines.map((line) => (JSON.parse(line) as ChatText).text).join("");
}

test("/chat streams the answer to a conversation, in a model's chat format", async () => {
  cpSync(inFolder("char"), inFolder("chat"), { recursive: true });
  const template = "{% for m in messages %}{{ m.content }}\n{% endfor %}";
  const format = { template, tokens: { bos_token: "", eos_token: "" }, stop: [] };
  writeFileSync(join(inFolder("chat"), "chat.json"), JSON.stringify(format));
  const messages = [{ role: "user", content: "to be" }];
  const request = { run: "chat", messages, tokens: 5, temperature: 0 };
  const answer = await fetchAnswer(request);
  const prompt = { run: "char", text: "to be\n", tokens: 5, temperature: 0 };
  const expected = (await fetchGeneration(prompt)).map((token) => token.text).join("");
  assert.is(answer, expected);
  const contents = ["t", "o", "b"];
  const longer = contents.map((content, i) => ({ role: i === 1 ? "assistant" : "user", content }));
  const second = await fetchAnswer({ ...request, messages: longer, tokens: 2 });
  const longPrompt = { ...prompt, text: "t\no\nb\n", tokens: 2 };
  assert.is(second, (await fetchGeneration(longPrompt)).map((token) => token.text).join(""));

  assert.is((await fetchJSON<ModelInfo>("/runs/chat/model")).hasChat, true);
  assert.is((await fetchJSON<ModelInfo>("/runs/char/model")).hasChat, false);
  const user = (content: unknown) => [{ role: "user", content }];
  const cases: [change: object, pattern: RegExp][] = [
    [{ run: "char" }, /^the model has no chat template$/],
    [{ messages: "to be" }, /^messages is not a list$/],
    [{ messages: [] }, /^the last message is not of the user$/],
    [{ messages: [...messages, { role: "assistant", content: "or" }] }, /is not of the user$/],
    [{ messages: user(3) }, /^messages\[0\]: content is number, expected string$/],
    [{ messages: [null] }, /^messages\[0\]: role is not system, user, assistant$/],
    [{ messages: user("{") }, /character "\{"/],
    [{ tokens: 0 }, /^tokens is 0, expected 1 to 10000$/],
  ];
  for (const [change, pattern] of cases) {
    const response = await send("/chat", { ...request, ...change });
    assert.is(response.status, 400);
    assert.match((await response.json()).error, pattern);
  }
  writeFileSync(join(inFolder("chat"), "chat.json"), "{");
  assert.is((await send("/chat", request)).status, 409);
});

test("a small folder that describes a huge or another model is refused without much memory", async () => {
  const weights = readFileSync(join(inFolder("char"), "last", "model.safetensors"));
  const config = JSON.parse(readFileSync(join(inFolder("char"), "config.json"), "utf8"));
  const header = (text: string) => {
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([size, Buffer.from(text)]);
  };
  const huge =
    '{"wte.weight":{"dtype":"F32","shape":[1000000,100000],"data_offsets":[0,400000000000]}}';
  const before = process.memoryUsage().rss;
  const cases: [name: string, change: object, content: Buffer][] = [
    ["wide", { nEmbd: 65_536 }, weights],
    ["wider", { nEmbd: 2 ** 40, nHead: 1 }, weights],
    ["deep", { nLayer: 1e6 }, weights],
    ["deeper", { nLayer: Number.MAX_SAFE_INTEGER }, weights],
    ["long", { blockSize: 1e9 }, weights],
    ["rotary-long", { blockSize: 1e15, positions: "rotary" }, weights],
    ["bigram-instead", { model: "bigram" }, weights],
    ["cut", {}, weights.subarray(0, 1000)],
    ["empty", {}, Buffer.alloc(0)],
    ["zeros", {}, Buffer.alloc(1000)],
    ["claims", {}, header(huge)],
    ["size", {}, Buffer.from("ffffffffffffff7f", "hex")],
  ];
  for (const [name, change, content] of cases) {
    cpSync(inFolder("char"), inFolder(name), { recursive: true });
    writeFileSync(join(inFolder(name), "config.json"), JSON.stringify({ ...config, ...change }));
    for (const checkpoint of ["best", "last"])
      writeFileSync(join(inFolder(name), checkpoint, "model.safetensors"), content);
    const request = { run: name, text };
    for (const [path, body] of [
      ["/tokens", request],
      ["/attention", request],
      ["/logits", { ...request, position: 0 }],
      ["/generate", { ...request, tokens: 5 }],
      [`/runs/${name}/model`, undefined],
      [`/runs/${name}/table/wte`, undefined],
    ] as const) {
      const response = await send(path, body);
      const { error } = (await response.json()) as { error: string };
      assert.is(response.status, 409, `${name} ${path}: ${error}`);
      assert.ok(error.length > 10);
    }
    rmSync(inFolder(name), { recursive: true });
  }
  const megabytes = (process.memoryUsage().rss - before) / 1e6;
  assert.ok(megabytes < 300, `${megabytes} MB`);
});

test("model: layers, heads, window, vocabulary and tables", async () => {
  const { tokenizer } = loadRun(inFolder("char"));
  const model = await fetchJSON<ModelInfo>("/runs/char/model");
  const vocabulary = [...(tokenizer as never as { characters: string[] }).characters];
  const tables = {
    wte: { rows: vocabulary.length, columns: 16, total: vocabulary.length },
    wpe: { rows: 8, columns: 16, total: 8 },
  };
  assert.ok([10, 20].includes(model.step), `${model.step}`);
  assert.equal(
    { ...model, step: 0 },
    { step: 0, layers: 2, heads: 2, window: 8, vocabulary, hasChat: false, tables },
  );
  const bigram = await fetchJSON<ModelInfo>("/runs/bigram/model");
  assert.equal([bigram.layers, bigram.heads, bigram.window], [0, 0, 512]);
  assert.equal(Object.keys(bigram.tables), ["token_embedding_table"]);
  assert.equal(Object.keys((await fetchJSON<ModelInfo>("/runs/rotary/model")).tables), ["wte"]);
});

test("tokens: a long text is cut to the last blockSize tokens", async () => {
  const { tokenizer } = loadRun(inFolder("char"));
  const tokenized = await fetchJSON<TokenizedText>("/tokens", { run: "char", text });
  assert.is(tokenized.before, 5);
  const expected = [...", or not"].map((text) => ({ id: tokenizer.encode(text)[0], text }));
  assert.equal(tokenized.tokens, expected);
  const short = await fetchJSON<TokenizedText>("/tokens", { run: "char", text: "be" });
  assert.equal([short.before, short.tokens.length], [0, 2]);
  assert.equal((await fetchJSON<TokenizedText>("/tokens", { run: "char", text: "" })).tokens, []);
});

for (const run of ["char", "rotary", "small"])
  test(`attention: the weights of all layers of ${run}`, async () => {
    const { model, tokenizer } = loadRun(inFolder(run), device("ts"));
    const ids = tokenizer.encode(text).slice(-8);
    const idx = tensor([ids], { dtype: "i32", device: "ts" });
    const expected = [...attentionMaps(model as GPT, idx)].flatMap((map) => [...map.data()]);
    const actual = await fetchFloats("/attention", { run, text });
    assert.is(actual.length, 2 * 2 * 8 * 8);
    assertClose(actual, expected, { rtol: 1e-4, atol: 1e-6 });
  });

for (const run of ["char", "rotary", "small", "bigram"])
  test(`logits: of the next token after each position of ${run}`, async () => {
    const { model, tokenizer } = loadRun(inFolder(run), device("ts"));
    const ids = tokenizer.encode("not to b");
    const idx = tensor([ids], { dtype: "i32", device: "ts" });
    const all = scope(() => noGrad(() => model.forward(idx).logits as Tensor).data());
    const V = tokenizer.vocabSize;
    for (const position of [0, ids.length - 1]) {
      const actual = await fetchFloats("/logits", { run, text: "not to b", position });
      const expected = all.slice(position * V, (position + 1) * V);
      assertClose(actual, expected, { rtol: 1e-4, atol: 1e-5 });
    }
  });

test("generate: the tokens of the library, each with the probability of the model", async () => {
  const { model, tokenizer } = loadRun(inFolder("rotary"), device("ts"));
  const sampling = { temperature: 0.8, topK: 20, topP: 0.9, seed: 4 };
  const prompt = tokenizer.encode(text);
  const ids: number[] = [];
  for await (const id of generate(model, { prompt, maxNewTokens: 30, ...sampling })) ids.push(id);
  const lines = await fetchGeneration({ run: "rotary", text, tokens: 30, ...sampling });
  assert.equal(
    lines.map((line) => line.id),
    ids,
  );
  const fullText = tokenizer.decode([...prompt, ...ids]);
  assert.is(text + lines.map((line) => line.text).join(""), fullText);
  const idx = tensor([[...prompt, ...ids].slice(-9, -1)], { dtype: "i32", device: "ts" });
  const last = (model.forward(idx).logits as Tensor).softmax().data().slice(-tokenizer.vocabSize);
  assertClose([lines[29].probability], [last[ids[29]]], { rtol: 1e-4 });
  assert.is((await fetchGeneration({ run: "bigram", text: "", tokens: 3 })).length, 3);
});

test("generate: does not block other requests, and stops when the client disconnects", async () => {
  const disconnect = new AbortController();
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ run: "char", text, tokens: 10_000 });
  const options = { method: "POST", headers, body, signal: disconnect.signal };
  const { body: stream } = await fetch(new URL("/generate", url), options);
  const reader = (stream as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  // loads another model while the first one generates, whose memory must not be freed
  assert.is((await send("/tokens", { run: "bigram", text })).status, 200);
  for (let bytes = 0; bytes < 50_000; ) {
    const { value, done } = await reader.read();
    assert.not(done, "the response has ended early");
    bytes += value?.length ?? 0;
  }
  assert.not(lastGeneration.isDone);
  disconnect.abort();
  for (let i = 0; i < 200 && !lastGeneration.isDone; i++) await sleep(5);
  assert.equal(lastGeneration, { isDone: true, isComplete: false });
});

test("writeChunk: waits for a slow client, and returns false after it has disconnected", async () => {
  let finishWrite = () => {};
  const slow = new Writable({
    highWaterMark: 4,
    write: (_chunk, _encoding, done) => {
      finishWrite = done;
    },
  });
  let isDone = false;
  const first = writeChunk(slow, "more than four").then((isConnected) => {
    isDone = true;
    return isConnected;
  });
  await sleep(20);
  assert.not(isDone);
  finishWrite();
  assert.ok(await first);
  const second = writeChunk(slow, "more than four");
  slow.destroy();
  assert.not(await second);
  assert.not(await writeChunk(slow, "a"));
});

test("table: the rows of each table", async () => {
  const { model } = loadRun(inFolder("char"), device("ts"));
  const { wte, wpe } = model as GPT;
  assert.equal(await fetchFloats("/runs/char/table/wte"), wte.weight.data());
  assert.equal(await fetchFloats("/runs/char/table/wpe"), wpe?.weight.data());
  assertClose(await fetchFloats("/runs/small/table/wte"), wte.weight, { rtol: 0, atol: 0.02 });
  const { columns, rows } = (await fetchJSON<ModelInfo>("/runs/bigram/model")).tables
    .token_embedding_table;
  assert.is((await fetchFloats("/runs/bigram/table/token_embedding_table")).length, columns * rows);
});

test("a new checkpoint is loaded as soon as it has been written", async () => {
  await train({ ...baseOptions, out: inFolder("live"), maxIters: 10, seed: 9 });
  const before = await fetchFloats("/runs/live/table/wte");
  assert.equal(await fetchFloats("/runs/live/table/wte"), before);
  await train({ resume: inFolder("live"), maxIters: 40 });
  const after = await fetchJSON<ModelInfo>("/runs/live/model");
  assert.ok(after.step > 10, `${after.step}`);
  assert.not.equal(await fetchFloats("/runs/live/table/wte"), before);
});

test("invalid requests are rejected with a message", async () => {
  const unknown = 'encode: character "😀" (U+1F600) at position 3 is not in the vocabulary';
  const ok = { run: "char", text };
  for (const [path, body, status, message] of [
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
    const response = await send(path, body);
    const { error } = (await response.json()) as { error: string };
    assert.is(response.status, status, `${path} ${JSON.stringify(body)}: ${error}`);
    if (typeof message === "string") assert.is(error, message);
    else assert.match(error, message);
  }
});

test.run();
