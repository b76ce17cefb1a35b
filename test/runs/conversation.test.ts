// Conversations: what the model reads, where answers end, and what is forgotten; chat.json.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BPETokenizer, device, GPT, generate, manualSeed, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ChatFormat, readChatFormat } from "#src/runs/chat-format.js";
import { Conversation } from "#src/runs/conversation.js";
import { importRun } from "#src/runs/import.js";
import { quantizeRun } from "#src/runs/quantize.js";
import { fixturePath } from "../support/harness.js";

const test = suite("runs/conversation");
const folder = mkdtempSync(join(tmpdir(), "tinybard-chat-"));
test.after(() => rmSync(folder, { recursive: true }));

const tokenizer = BPETokenizer.train("hello there, how are you? I am fine. ".repeat(3), {
  vocabSize: 270,
  specialTokens: ["<start>", "<end>"],
});
const [start, end] = [268, 269];
const format: ChatFormat = {
  template:
    "{% for message in messages %}<start>{{ message.role + ':' + message.content }}<end>" +
    "{% endfor %}{% if add_generation_prompt %}<start>assistant:{% endif %}",
  tokens: { bos_token: "", eos_token: "<end>" },
  stop: [end, 100_000], // the second is not in the vocabulary
};

function makeModel(blockSize: number): GPT {
  manualSeed(3);
  const { vocabSize } = tokenizer;
  return new GPT({ vocabSize, blockSize, nLayer: 1, nHead: 2, nEmbd: 16 });
}

async function collect(answer: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const part of answer) text += part;
  return text;
}

test("an answer continues the rendered conversation, and becomes part of it", async () => {
  assert.is(tokenizer.vocabSize, 270);
  const model = makeModel(128);
  const conversation = new Conversation({ model, tokenizer }, format);
  const options = { maxNewTokens: 6, temperature: 0 };
  const first = await collect(conversation.answer("how are you?", options));

  const ids = [start, ...tokenizer.encode("user:how are you?"), end];
  ids.push(start, ...tokenizer.encode("assistant:"));
  const expected: number[] = [];
  for await (const id of generate(model, { prompt: ids, ...options })) expected.push(id);
  assert.is(first, tokenizer.decode(expected));
  assert.equal(conversation.messages, [
    { role: "user", content: "how are you?" },
    { role: "assistant", content: first },
  ]);

  await collect(conversation.answer("fine", { ...options, maxNewTokens: 1 }));
  assert.is(conversation.messages.length, 4);
});

test("an answer ends at a stop token, which is not part of it", async () => {
  const model = makeModel(64);
  model.lm_head.weight.fill(0); // all tokens are equally likely, and the first one is chosen
  const stop = [0];
  const conversation = new Conversation({ model, tokenizer }, { ...format, stop });
  assert.is(await collect(conversation.answer("Hi", { maxNewTokens: 5, temperature: 0 })), "");
  const [, answer] = conversation.messages;
  assert.equal(answer, { role: "assistant", content: "" });
});

test("the oldest messages are forgotten when the context is full, the system's is not", async () => {
  const system = { role: "system", content: "I am fine" } as const;
  const loaded = { model: makeModel(64), tokenizer };
  const conversation = new Conversation(loaded, format, [system]);
  const questions = ["one", "two", "three", "four", "five"];
  for (const question of questions)
    await collect(conversation.answer(question, { maxNewTokens: 4, temperature: 0 }));
  const { messages } = conversation;
  assert.equal(messages[0], system);
  const kept = messages.filter(({ role }) => role === "user").map(({ content }) => content);
  assert.ok(kept.length < questions.length, kept.join());
  assert.equal(kept, questions.slice(-kept.length));
});

test("a message that the template rejects is not part of the conversation", async () => {
  const template = `{% if messages[-1].content == "bad" %}{{ raise_exception("no") }}{% endif %}`;
  const rejecting = { ...format, template: template + format.template };
  const conversation = new Conversation({ model: makeModel(64), tokenizer }, rejecting);
  const options = { maxNewTokens: 1, temperature: 0 };
  await collect(conversation.answer("good", options));
  const error = await collect(conversation.answer("bad", options)).catch((e: Error) => e);
  assert.match(String(error), /TokenizerError: chat template: no/);
  assert.is(conversation.messages.length, 2);
});

test("an answer that is not read to its end is kept as far as it was read", async () => {
  const conversation = new Conversation({ model: makeModel(128), tokenizer }, format);
  let text = "";
  for await (const part of conversation.answer("Hi", { maxNewTokens: 50, temperature: 0 })) {
    text = part;
    break;
  }
  assert.equal(conversation.messages.at(-1), { role: "assistant", content: text });
});

/** Copies a model of transformers, and writes its files of a chat. */
function makeFolder(name: string, files: Record<string, unknown>): string {
  const copy = join(folder, name);
  cpSync(fixturePath("llama/qwen2"), copy, { recursive: true });
  for (const [file, content] of Object.entries(files))
    writeFileSync(
      join(copy, file),
      typeof content === "string" ? content : JSON.stringify(content),
    );
  return copy;
}

test("chat.json: from the files of transformers, also in other runs of the model", async () => {
  const { template } = format;
  const tokens = { bos_token: null, eos_token: { content: "<|im_end|>" } };
  const named = [
    { name: "tool_use", template: "other" },
    { name: "default", template },
  ];
  const expected = { template, tokens: { bos_token: "", eos_token: "<|im_end|>" }, stop: [302] };
  const variants: Record<string, Record<string, unknown>> = {
    field: {
      "tokenizer_config.json": { ...tokens, chat_template: template },
      "generation_config.json": { eos_token_id: 302 },
    },
    list: {
      "tokenizer_config.json": { ...tokens, chat_template: named },
      "generation_config.json": { eos_token_id: [302] },
    },
    file: {
      "tokenizer_config.json": tokens,
      "chat_template.jinja": template,
      "generation_config.json": { eos_token_id: [302] },
    },
  };
  for (const [name, files] of Object.entries(variants)) {
    const out = join(folder, `run-${name}`);
    importRun(makeFolder(name, files), out, device("ts"));
    assert.equal(readChatFormat(out), expected, name);
  }
  const out = join(folder, "quantized");
  quantizeRun(join(folder, "run-field"), { out, bits: 8, device: device("ts") });
  assert.equal(readChatFormat(out), expected);
  const text = join(folder, "text.txt");
  writeFileSync(text, "The king said to be brief. ".repeat(200));
  for (const [i, initFrom] of [join(folder, "run-field"), join(folder, "field")].entries()) {
    const tuned = join(folder, `tuned-${i}`);
    const lengths = { maxIters: 1, evalIters: 1, batchSize: 1, blockSize: 16 };
    await train({ data: text, initFrom, device: "ts", out: tuned, ...lengths });
    assert.equal(JSON.parse(readFileSync(join(tuned, "chat.json"), "utf8")), expected);
  }

  importRun(makeFolder("plain", {}), join(folder, "run-plain"), device("ts"));
  assert.is(readChatFormat(join(folder, "run-plain")), null);
});

test("a damaged chat.json is an error that names the file and the field", () => {
  const out = join(folder, "run-field");
  const file = join(out, "chat.json");
  const valid = JSON.parse(readFileSync(file, "utf8"));
  for (const [change, pattern] of [
    [{ template: 3 }, /chat\.json: template is 3, expected a string/],
    [{ tokens: null }, /chat\.json: bos_token is .*, expected a string/],
    [{ stop: [-1] }, /chat\.json: eos_token_id is .*-1.*, expected token ids/],
    [{ stop: "302" }, /chat\.json: eos_token_id is .*302.*, expected token ids/],
  ] as const) {
    writeFileSync(file, JSON.stringify({ ...valid, ...change }));
    assert.throws(() => readChatFormat(out), pattern);
  }
});

test.run();
