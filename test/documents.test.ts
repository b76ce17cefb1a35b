// Executes the code in the documents, and checks that their links lead to existing files.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { documents, executedDocuments, getCodeBlocks, root } from "./support/documents.ts";
import { canTest } from "./support/platform.js";

const test = suite("documents");
// inside the package, so that the scripts can import it by its name
const scripts = join(root, "dist-test", "snippets");
test.after(() => rmSync(scripts, { recursive: true, force: true }));

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

/** The code blocks of the executed documents, as files of TypeScript. */
const snippets = executedDocuments.flatMap((file) =>
  getCodeBlocks(file, "ts").map((code, i) => ({
    title: `${file}, code ${i + 1}`,
    name: `${basename(file)}.${i}`,
    code,
  })),
);

/** The options of a strict project that uses the package. */
const compilerOptions = {
  strict: true,
  target: "ES2023",
  lib: ["ES2023"],
  module: "NodeNext",
  types: ["node"],
};

/** Compiles all snippets with the types of the package, and returns the errors. */
function compileSnippets(): string {
  mkdirSync(scripts, { recursive: true });
  for (const { name, code } of snippets) writeFileSync(join(scripts, `${name}.mts`), code);
  const config = { compilerOptions, include: ["*.mts"] };
  writeFileSync(join(scripts, "tsconfig.json"), JSON.stringify(config));
  const args = [compiler, "--pretty", "false", "-p", scripts];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return status === 0 ? "" : stdout + stderr;
}

const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
const canCompile = canTest(existsSync(compiler), "code in documents", "typescript is missing");
const errors = canCompile ? compileSnippets() : "";

for (const { title, name, code } of canCompile ? snippets : []) {
  test(`${title} compiles with strict types`, () => {
    const own = errors.split("\n").filter((line) => line.includes(`${name}.mts(`));
    assert.equal(own, []);
  });

  test(title, () => {
    const script = join(scripts, `${name}.mjs`);
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

test("the code in documents has no other errors", () => {
  assert.is(errors, "");
});

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
