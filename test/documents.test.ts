// Executes the documents: their code as it is, and their shell commands one after the other, with
// fewer steps. Also checks that their links lead to existing files.

import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixturePath } from "./support/support.ts";

const test = suite("documents");
const root = fileURLToPath(new URL("..", import.meta.url));
// inside the package, so that the scripts can import it by its name
const scripts = join(root, "dist-test", "snippets");
const temporary = [scripts];
test.after(() => {
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
});

/** All documents except for the generated ones. */
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "test/README.md",
  "bench/results/NOTES.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
].filter((file) => existsSync(join(root, file)));
/** Documents whose shell commands need a GPU or the emulator, or take long. */
const notExecuted = ["cuda", "emulator", "benchmarks", "results", "custom-ops"].map(
  (name) => `docs/${name}.md`,
);
const executed = documents.filter((file) => !notExecuted.includes(file));

const commandNames = [
  "train",
  "sample",
  "eval",
  "doctor",
  "import",
  "export",
  "quantize",
  "dashboard",
  "lesson",
];
/** Options that shorten a command. */
const shortened: Record<string, string[]> = {
  train: ["--max-iters", "2"],
  eval: ["--iters", "2"],
  quantize: ["--iters", "2", "--tokens", "20"],
};

/** Returns the code blocks of a document in a language. */
function getBlocks(file: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...readFileSync(join(root, file), "utf8").matchAll(pattern)].map(([, block]) => block);
}

for (const file of documents) {
  test(`${file}: links lead to existing files`, () => {
    const text = readFileSync(join(root, file), "utf8").replaceAll(/^```[\s\S]*?^```$/gm, "");
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path, anchor] = target.split("#");
      const linked = path ? join(root, dirname(file), path) : join(root, file);
      assert.ok(existsSync(linked), `${file} links to ${target}, which does not exist`);
      if (anchor) assert.ok(getAnchors(linked).includes(anchor), `${target} has no such heading`);
    }
  });
}

/** Returns the anchors that GitHub makes of a document's headings. */
function getAnchors(path: string): string[] {
  const headings = readFileSync(path, "utf8").matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

for (const file of executed) {
  for (const [i, code] of getBlocks(file, "ts").entries()) {
    test(`${file}, code ${i + 1}`, () => {
      mkdirSync(scripts, { recursive: true });
      const script = join(scripts, `${basename(file)}.${i}.mjs`);
      writeFileSync(script, code);
      const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
        encoding: "utf8",
      });
      assert.is(status, 0, stderr);
      assert.ok(stdout.length > 0);
      // the comment after console.log(...) is its output
      for (const [, expected] of code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm))
        assert.ok(stdout.includes(expected), `${stdout} does not include ${expected}`);
    });
  }
}

interface ShellCommand {
  line: string;
  name: string;
  args: string[];
}

/** Returns the program's commands `npm run NAME -- ARGS` in a document's shell blocks. */
function getCommands(file: string): ShellCommand[] {
  const lines = getBlocks(file, "sh").join("").replaceAll("\\\n", " ").split("\n");
  return lines.flatMap((line) => {
    const [, name, rest = ""] = /^npm run (\w+)(?: (?:-- )?(.*))?$/.exec(line) ?? [];
    if (!commandNames.includes(name)) return [];
    const args = rest.replace(/ #.*$| -- /, " ").match(/"[^"]*"|\S+/g) ?? [];
    return { line, name, args: args.map((arg) => arg.replaceAll('"', "")) };
  });
}

for (const file of executed) {
  const commands = getCommands(file);
  if (commands.length === 0) continue;
  test(`${file}, the program's commands, with fewer steps`, async () => {
    const cwd = mkdtempSync(join(tmpdir(), "tinybard-documents-"));
    temporary.push(cwd);
    const text = join(cwd, "text.txt");
    const other = join(cwd, "other.txt");
    writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(200));
    writeFileSync(other, "Call me Ishmael. Some years ago, to be sure,\n".repeat(200));
    cpSync(fixturePath("gpt2"), join(cwd, "gpt2"), { recursive: true });
    const env = { ...process.env, TINYBARD_DATA: text };
    for (const { line, name, args } of commands) {
      const command =
        name === "lesson"
          ? [join(root, "dist", "lessons", "run.js")]
          : [join(root, "dist", "cli", "index.js"), name];
      command.push(...args, ...(shortened[name] ?? []));
      if (name === "train" && !args.includes("--resume")) command.push("--eval-iters", "1");
      if (name === "dashboard") {
        await runDashboard(line, command, { cwd, env });
        continue;
      }
      const run = spawnSync(process.execPath, command, { cwd, env, encoding: "utf8" });
      assert.is(run.status, 0, `${line}: ${run.stderr}`);
      assert.ok(run.stdout.length > 0, line);
    }
  });
}

/** Starts a command that runs until it is interrupted, requests its page, and interrupts it. */
async function runDashboard(line: string, command: string[], options: SpawnOptions): Promise<void> {
  const child = spawn(process.execPath, command, {
    ...options,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let isRequested = false;
  child.stdout?.on("data", async (text: Buffer) => {
    output += String(text);
    const [, url] = /^dashboard: (http\S+\/)/m.exec(output) ?? [];
    if (!url || isRequested) return;
    isRequested = true;
    const runs = await (await fetch(`${url}runs`)).json();
    child.kill(Array.isArray(runs) && runs.length > 0 ? "SIGINT" : "SIGKILL");
  });
  const code = await new Promise((done) => child.once("exit", done));
  assert.ok(isRequested, `${line}: ${output}`);
  assert.is(code, 130, `${line}: ${output}`);
}

test("docs/training.md lists every preset", async () => {
  const { presets } = await import("tinybard");
  const text = readFileSync(join(root, "docs/training.md"), "utf8");
  for (const name of Object.keys(presets)) assert.ok(text.includes(`\n| \`${name}\` `), name);
});

test("README.md has at most 900 words", () => {
  const words = readFileSync(join(root, "README.md"), "utf8").split(/\s+/).filter(Boolean);
  assert.ok(words.length <= 900, `${words.length} words`);
});

test.run();
