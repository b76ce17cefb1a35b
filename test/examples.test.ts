// Runs every @example of the doc comments in src/, and compares what it prints with the comment
// after console.log(...).

import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as tinybard from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixturePath } from "./support/harness.ts";

const test = suite("examples");
const root = fileURLToPath(new URL("..", import.meta.url));
// Inside the package, so that the script can import it by its name.
const scripts = join(root, "dist-test", "examples");
const folder = mkdtempSync(join(tmpdir(), "tinybard-examples-"));
test.after(() => {
  rmSync(scripts, { recursive: true, force: true });
  rmSync(folder, { recursive: true });
});

interface Example {
  /** The declaration that it documents. */
  name: string;
  code: string;
}

/** The examples in the doc comments of a file. */
function readExamples(file: string): Example[] {
  const pattern = /\/\*\*((?:(?!\*\/)[\s\S])*?)^ \* @example\n((?:^ \* .*\n)+?) \*\/\n(.*)/gm;
  const text = readFileSync(join(root, "src", file), "utf8");
  return [...text.matchAll(pattern)].map(([, , lines, declaration]) => ({
    name: `${file}: ${/(?:function\*?|class|const) (\w+)/.exec(declaration)?.[1]}`,
    code: lines.replace(/^ \* /gm, ""),
  }));
}

/** A script that runs all examples, and prints as JSON what each one has logged or thrown. */
function createScript(examples: Example[]): string {
  const names = Object.keys(tinybard).filter((name) => name !== "var");
  const functions = examples.map(({ code }) => `async (console) => {\n{\n${code}\n}\n}`);
  return `
import { format } from "node:util";
import { ${names.join(", ")} } from "tinybard";
const results = [];
for (const example of [${functions.join(",\n")}]) {
  const logged = [];
  setDefaultDevice("auto");
  try {
    await example({ log: (...values) => logged.push(format(...values)) });
    results.push({ logged });
  } catch (error) {
    results.push({ logged, error: error.stack });
  }
}
console.log(JSON.stringify(results));
`;
}

const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
const examples = files.filter((file) => file.endsWith(".ts")).flatMap(readExamples);
mkdirSync(scripts, { recursive: true });
writeFileSync(join(scripts, "all.mjs"), createScript(examples));
cpSync(fixturePath("gpt2"), join(folder, "gpt2"), { recursive: true });
writeFileSync(
  join(folder, "input.txt"),
  "To be, or not to be, that is the question:\n".repeat(200),
);
const { stdout, stderr } = spawnSync(process.execPath, [join(scripts, "all.mjs")], {
  cwd: folder,
  encoding: "utf8",
});

test("the examples run", () => {
  assert.ok(examples.length > 0);
  assert.ok(stdout, stderr);
});

const results: { logged: string[]; error?: string }[] = stdout ? JSON.parse(stdout) : [];
for (const [i, { logged, error }] of results.entries()) {
  const { name, code } = examples[i];
  test(name, () => {
    assert.is(error, undefined);
    for (const [, expected] of code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm))
      assert.ok(logged.includes(expected), `expected ${expected}, got ${logged.join(" | ")}`);
  });
}

test.run();
