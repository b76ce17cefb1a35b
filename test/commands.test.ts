// Executes the shell commands in the documents, one after the other, with fewer steps.

import { type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { executedDocuments, getCodeBlocks, root } from "./support/documents.ts";
import { fixturePath } from "./support/harness.ts";
import { canInterrupt, interrupt, isWindows } from "./support/platform.ts";

const test = suite("commands");
const temporary: string[] = [];
test.after(() => {
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
});

const commandNames = [
  "train",
  "sample",
  "eval",
  "runs",
  "doctor",
  "import",
  "export",
  "quantize",
  "prepare",
  "dashboard",
  "lesson",
];
/** Scripts whose names differ from those of their commands. */
const commandsOfScripts: Record<string, string> = { "prepare-data": "prepare" };
/** Options that shorten a command; with --json, train prints no sample. */
const shortened: Record<string, string[]> = {
  train: ["--max-iters", "2", "--json"],
  sample: ["--tokens", "20"],
  eval: ["--iters", "2"],
  quantize: ["--iters", "2", "--tokens", "20"],
};

interface ShellCommand {
  line: string;
  name: string;
  args: string[];
}

/** Returns the program's commands `npm run NAME -- ARGS` in a document's shell blocks. */
function getCommands(file: string): ShellCommand[] {
  const lines = getCodeBlocks(file, "sh").join("").replaceAll("\\\n", " ").split("\n");
  return lines.flatMap((line) => {
    const [, script, rest = ""] = /^npm run ([\w-]+)(?: (?:-- )?(.*))?$/.exec(line) ?? [];
    const name = commandsOfScripts[script] ?? script;
    if (!commandNames.includes(name)) return [];
    const args = rest.replace(/ #.*$| -- /, " ").match(/"[^"]*"|\S+/g) ?? [];
    return { line, name, args: args.map((arg) => arg.replaceAll('"', "")) };
  });
}

for (const file of executedDocuments) {
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
    cpSync(fixturePath("llama/smollm2"), join(cwd, "SmolLM2-135M"), { recursive: true });
    const env = { ...process.env, TINYBARD_DATA: text };
    for (const { line, name, args } of commands) {
      const command =
        name === "lesson"
          ? [join(root, "dist", "lessons", "run.js")]
          : [join(root, "dist", "cli", "index.js"), name];
      command.push(...args, ...(shortened[name] ?? []));
      if (name === "train" && !args.includes("--resume"))
        command.push("--eval-iters", "1", "--batch-size", "2");
      if (name === "dashboard") {
        await runDashboard(line, command, { cwd, env });
        continue;
      }
      const input = "To be\n"; // a prompt, for the commands that read stdin
      const run = spawnSync(process.execPath, command, { cwd, env, encoding: "utf8", input });
      assert.is(run.status, 0, `${line}: ${run.signal} ${run.error} ${run.stderr}`);
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
    const [, link] = /^dashboard: (http\S+) /m.exec(output) ?? [];
    if (!link || isRequested) return;
    isRequested = true;
    const { origin, search } = new URL(link);
    const runs = await (await fetch(`${origin}/runs${search}`)).json();
    const hasRuns = Array.isArray(runs) && runs.length > 0;
    if (hasRuns && canInterrupt("SIGINT")) interrupt(child, "SIGINT");
    else child.kill(hasRuns ? "SIGINT" : "SIGKILL"); // without the signal, on Windows
  });
  const [code, signal] = await once(child, "exit");
  assert.ok(isRequested, `${line}: ${output}`);
  assert.is(isWindows && signal === "SIGINT" ? 130 : code, 130, `${line}: ${output}`);
}

test.run();
