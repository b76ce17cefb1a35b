// What the documents show is run: the program's commands one after the other, the code as it
// stands.

import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixturePath } from "./support/support.ts";

const test = suite("documents");
const root = fileURLToPath(new URL("..", import.meta.url));
// inside of the package, so that it finds itself
const scripts = join(root, "dist-test", "snippets");
const temporary = [scripts];
test.after(() => {
  for (const each of temporary) rmSync(each, { recursive: true, force: true });
});

/** Those whose commands and code are run here; others are of GPUs and benchmarks. */
const documents = ["README.md", "CONTRIBUTING.md"].concat(
  ["course", "dashboard", "tokenizers", "importing", "finetuning", "quantization"]
    .map((name) => `docs/${name}.md`)
    .filter((file) => existsSync(join(root, file))),
);
const program = ["train", "sample", "eval", "doctor", "import", "export", "quantize", "lesson"];
/** Options that make a command brief. */
const fewer: Record<string, string[]> = {
  train: ["--max-iters", "2"],
  eval: ["--iters", "2"],
  quantize: ["--iters", "2", "--tokens", "20"],
};

/** The blocks of a document in a language. */
function blocks(file: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...readFileSync(join(root, file), "utf8").matchAll(pattern)].map(([, block]) => block);
}

for (const file of documents) {
  for (const [i, code] of blocks(file, "ts").entries()) {
    test(`${file}, code ${i + 1}`, () => {
      mkdirSync(scripts, { recursive: true });
      const script = join(scripts, `${basename(file)}.${i}.mjs`);
      writeFileSync(script, code);
      const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
        encoding: "utf8",
      });
      assert.is(status, 0, stderr);
      assert.ok(stdout.length > 0);
      // a comment behind console.log(...) is what it prints
      for (const [, promised] of code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm))
        assert.ok(stdout.includes(promised), `${stdout} has no ${promised}`);
    });
  }
}

/** `npm run NAME -- WORDS` in a document's shell blocks, for the program's commands and lessons. */
function commandsOf(file: string): { line: string; name: string; words: string[] }[] {
  const lines = blocks(file, "sh").join("").replaceAll("\\\n", " ").split("\n");
  return lines.flatMap((line) => {
    const [, name, rest = ""] = /^npm run (\w+)(?: (?:-- )?(.*))?$/.exec(line) ?? [];
    if (!program.includes(name)) return [];
    const words = rest.replace(/ #.*$| -- /, " ").match(/"[^"]*"|\S+/g) ?? [];
    return { line, name, words: words.map((word) => word.replaceAll('"', "")) };
  });
}

for (const file of documents) {
  const commands = commandsOf(file);
  if (commands.length === 0) continue;
  test(`${file}, the program's commands, with fewer steps`, async () => {
    const cwd = mkdtempSync(join(tmpdir(), "tinybard-documents-"));
    temporary.push(cwd);
    const [text, other] = [join(cwd, "text.txt"), join(cwd, "other.txt")];
    writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(200));
    writeFileSync(other, "Call me Ishmael. Some years ago, to be sure,\n".repeat(200));
    cpSync(fixturePath("gpt2"), join(cwd, "gpt2"), { recursive: true });
    const env = { ...process.env, TINYBARD_DATA: text };
    for (const { line, name, words } of commands) {
      const isNew = name === "train" && !words.includes("--resume");
      const brief = [...(fewer[name] ?? []), ...(isNew ? ["--eval-iters", "1"] : [])];
      const script = name === "lesson" ? ["lessons", "run.js"] : ["cli", "index.js"];
      const all = [join(root, "dist", ...script), ...(name === "lesson" ? [] : [name])];
      all.push(...words, ...brief);
      if (name === "dashboard") {
        await openAndEnd(line, all, { cwd, env });
        continue;
      }
      const run = spawnSync(process.execPath, all, { cwd, env, encoding: "utf8" });
      assert.is(run.status, 0, `${line}: ${run.stderr}`);
      assert.ok(run.stdout.length > 0, line);
    }
  });
}

/** Runs a command that goes on until it is interrupted, once it has told its address. */
async function openAndEnd(line: string, words: string[], options: SpawnOptions): Promise<void> {
  const child = spawn(process.execPath, words, {
    ...options,
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout?.once("data", async (text: Buffer) => {
    const [, url] = /^dashboard: (\S+) shows the runs/.exec(String(text)) ?? [];
    const runs = url && (await (await fetch(`${url}runs`)).json());
    child.kill(Array.isArray(runs) && runs.length > 0 ? "SIGINT" : "SIGKILL");
  });
  const code = await new Promise((done) => child.once("exit", done));
  assert.is(code, 130, line);
}

test("every preset in the README's table is one, and none is left out but gpt2", async () => {
  const { presets } = await import("tinybard");
  const named = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^\| (`[^|]*) \|/gm)];
  const names = named.flatMap(([, cell]) =>
    [...cell.matchAll(/`([\w.-]+)`/g)].map(([, name]) => name),
  );
  for (const name of Object.keys(presets)) assert.ok(names.includes(name) || name === "gpt2", name);
});

test.run();
