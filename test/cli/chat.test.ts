// `sample` with an imported model that has a chat template.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixturePath } from "../support/harness.js";

const test = suite("cli/chat");
const folder = mkdtempSync(join(tmpdir(), "tinybard-cli-chat-"));
test.after(() => rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const device = process.env.TINYBARD_TEST_DEVICE ?? "ts";

function run(args: readonly string[], input = "") {
  const all = [program, ...args, "--device", device];
  return spawnSync(process.execPath, all, { cwd: folder, encoding: "utf8", input });
}

const template =
  "{% for message in messages %}<|im_start|>{{ message.role + '\\n' + message.content }}" +
  "<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

cpSync(fixturePath("llama/qwen2"), join(folder, "instruct"), { recursive: true });
writeFileSync(
  join(folder, "instruct", "tokenizer_config.json"),
  JSON.stringify({ chat_template: template, eos_token: "<|im_end|>" }),
);
const sample = ["sample", "--tokens", "6", "--temperature", "0"];

test("a chat carries on from line to line; --chat answers one prompt; --no-chat continues", () => {
  const imported = run(["import", "instruct", "--out", "chat"]);
  assert.is(imported.status, 0, imported.stderr);
  const chat = [...sample, "--run", "chat"];
  const one = run([...chat, "--chat", "--prompt", "The king"]);
  assert.is(one.status, 0, one.stderr);
  assert.not.match(one.stdout, /The king/, "the answer alone is printed");
  const two = run([...chat, "--interactive"], "The king\nThe king\n");
  assert.ok(two.stdout.startsWith(one.stdout), `${one.stdout} ${two.stdout}`);
  const second = two.stdout.slice(one.stdout.length);
  assert.is.not(second, one.stdout, "the second answer follows another conversation");
  const system = run([...chat, "--chat", "--system", "Be brief", "--prompt", "The king"]);
  assert.is.not(system.stdout, one.stdout);
  const raw = run([...chat, "--interactive", "--no-chat"], "The king\n");
  assert.ok(raw.stdout.startsWith("The king"), raw.stdout);
  assert.is(raw.stdout, run([...chat, "--prompt", "The king"]).stdout);
});

test("options that need a chat template are errors without one", () => {
  assert.is(run(["import", fixturePath("llama/qwen2"), "--out", "plain"]).status, 0);
  for (const [options, pattern] of [
    [["--chat", "--prompt", "Hi", "--run", "plain"], /plain has no chat template/],
    [["--system", "Hi", "--run", "plain"], /--system needs a model with a chat template/],
    [["--chat", "--num-samples", "2", "--run", "chat"], /--num-samples is 2, expected 1 in a chat/],
  ] as const) {
    const { status, stderr } = run([...sample, ...options]);
    assert.is(status, 2, stderr);
    assert.match(stderr, pattern);
  }
});

test.run();
