// The dependency rules between the folders of src, and the sizes of files. A lower layer knows
// nothing of a higher one, types included.

import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("architecture");
const layers = [
  [
    "cache",
    "errors",
    "installation",
    "options",
    "printing",
    "shape",
    "random",
    "scope",
    "synonyms",
  ],
  ["backend"],
  ["distributed"],
  ["tensor"],
  ["autograd"],
  ["ops"],
  ["methods"],
  ["nn", "optim"],
  ["tokenizers", "files"],
  ["gpt"],
  ["data", "train", "runs"],
  ["web"],
  ["cli", "index", "browser", "common"],
  ["playground"],
];
/** The files that "#platform" may be, by the field `imports` of package.json. */
const platforms = ["backend/platform/node.ts", "backend/platform/browser.ts"];
const src = fileURLToPath(new URL("../src", import.meta.url));
const getFolder = (path: string) => path.split("/")[0].replace(/\.ts$/, "");
const getLayer = (path: string) => layers.findIndex((names) => names.includes(getFolder(path)));
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"));

/** Returns the files of src that a file imports, types included. */
function getImports(from: string): string[] {
  const pattern = /^(?:import|export)\s+(?:[^;"]*?from\s+)?"([.#][^"]+)"/gm;
  const matches = readFileSync(join(src, from), "utf8").matchAll(pattern);
  return [...matches].flatMap(([, path]) =>
    path === "#platform" ? platforms : posix.join(posix.dirname(from), path),
  );
}

test("every import points to a lower layer, or stays in its own", () => {
  assert.ok(files.length > 30);
  for (const from of files) {
    assert.ok(getLayer(from) >= 0, `${from} is in no layer`);
    for (const to of getImports(from)) {
      assert.ok(getLayer(to) <= getLayer(from), `${from} imports ${to}`);
      if (getFolder(from) === "ops")
        assert.not(to.startsWith("backend/ts"), `${from} imports ${to}`);
      if (getFolder(from) === "tokenizers")
        assert.ok(
          getLayer(to) === 0 || ["tokenizers", "files"].includes(getFolder(to)),
          `${from} imports ${to}`,
        );
    }
  }
});

test("no file imports itself through others", () => {
  const reach = (from: string, seen = new Set<string>()): Set<string> => {
    for (const to of getImports(from)) {
      if (!seen.has(to)) reach(to, seen.add(to));
    }
    return seen;
  };
  for (const file of files) assert.not(reach(file).has(file), `${file} is part of a cycle`);
});

test("budgets: no file over 250 lines; autograd, the model and the step 150", () => {
  const budget: Record<string, number> = {
    "autograd.ts": 150,
    "gpt/model.ts": 150,
    "train/step.ts": 150,
  };
  const lessons = readdirSync(join(src, "../lessons")).filter((file) => file.endsWith(".ts"));
  for (const file of [...files, ...lessons.map((name) => `../lessons/${name}`)]) {
    const lines = readFileSync(join(src, file), "utf8").trimEnd().split("\n");
    const most = budget[file] ?? 250;
    assert.ok(lines.length <= most, `${file} has ${lines.length} lines, expected at most ${most}`);
    const wide = lines.findIndex((line) => [...line].length > 100);
    assert.is(wide, -1, `${file}:${wide + 1} has more than 100 columns`);
  }
});

test.run();
