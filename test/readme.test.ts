// What the documents show is run: the program's commands one after the other, the code as it
// stands.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("documents");
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tinybard-readme-"));
// inside of the package, so that it finds itself
const scripts = join(root, "dist-test", "snippets");
test.after(() => {
  for (const each of [folder, scripts]) rmSync(each, { recursive: true, force: true });
});

/** The blocks of a document in a language. */
function blocks(file: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...readFileSync(join(root, file), "utf8").matchAll(pattern)].map(([, block]) => block);
}

for (const file of ["README.md", "CONTRIBUTING.md"]) {
  for (const [i, code] of blocks(file, "ts").entries()) {
    test(`${file}, code ${i + 1}`, () => {
      mkdirSync(scripts, { recursive: true });
      const script = join(scripts, `${file}.${i}.mjs`);
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

test("README, the program's commands, with fewer steps", () => {
  writeFileSync(
    join(folder, "text.txt"),
    "To be, or not to be, that is the question:\n".repeat(200),
  );
  const env = { ...process.env, TINYBARD_DATA: join(folder, "text.txt") };
  const program = join(root, "dist", "cli", "index.js");
  const lines = blocks("README.md", "sh").join("").split("\n");
  const commands = lines.flatMap(
    (line) => /^npm run (train|sample|eval|doctor)( -- (.*))?$/.exec(line) ?? [],
  );
  assert.ok(commands.length >= 5 * 4);
  for (let i = 0; i < commands.length; i += 4) {
    const words =
      (commands[i + 3] ?? "").match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [];
    const brief = { train: ["--max-iters", "2"], eval: ["--iters", "2"] }[commands[i + 1]] ?? [];
    const isNew = commands[i + 1] === "train" && !words.includes("--resume");
    const all = [
      program,
      commands[i + 1],
      ...words,
      ...brief,
      ...(isNew ? ["--eval-iters", "1"] : []),
    ];
    const { status, stderr, stdout } = spawnSync(process.execPath, all, {
      cwd: folder,
      env,
      encoding: "utf8",
    });
    assert.is(status, 0, `${commands[i]}: ${stderr}`);
    assert.ok(stdout.length > 0);
  }
});

test("every preset in the README's table is one, and none is left out but gpt2", async () => {
  const { presets } = await import("tinybard");
  const named = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^\| (`[^|]*) \|/gm)];
  const names = named.flatMap(([, cell]) =>
    [...cell.matchAll(/`([\w.-]+)`/g)].map(([, name]) => name),
  );
  for (const name of Object.keys(presets)) assert.ok(names.includes(name) || name === "gpt2", name);
});

test.run();
