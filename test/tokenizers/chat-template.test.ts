// Chat templates: the text of conversations, as transformers renders them.

import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ChatMessage, ChatTemplate, type ChatTokens } from "#src/tokenizers/chat-template.js";
import { TokenizerError } from "#src/tokenizers/tokenizer.js";
import { fixturePath } from "../support/harness.js";

interface Golden {
  tokens: ChatTokens;
  cases: {
    name: string;
    template: string;
    conversations: { messages: ChatMessage[]; text: string }[];
  }[];
}

const test = suite("tokenizers/chat-template");
const golden: Golden = JSON.parse(readFileSync(fixturePath("chat.json"), "utf8"));

for (const { name, template, conversations } of golden.cases) {
  test(`${name}: the texts of transformers`, () => {
    const compiled = new ChatTemplate(template, golden.tokens);
    for (const { messages, text } of conversations) assert.is(compiled.render(messages), text);
  });
}

test("errors of a template are TokenizerErrors with its own message", () => {
  const user: ChatMessage = { role: "user", content: "Hi" };
  const { template } = golden.cases.find(({ name }) => name === "inst") ?? { template: "" };
  const inst = new ChatTemplate(template, golden.tokens);
  const isError = (pattern: RegExp) => (error: Error) =>
    error instanceof TokenizerError && pattern.test(error.message);
  assert.throws(() => inst.render([user, user]), isError(/^chat template: .*roles must alternate/));
  for (const invalid of ["{% for %}", "{{ messages", "{% endif %}"])
    assert.throws(() => new ChatTemplate(invalid, golden.tokens), isError(/^chat template: ./));
});

test.run();
