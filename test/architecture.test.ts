// The house: which folder may import which. Lower levels know nothing of higher ones.

import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("architecture");
const levels = [
  ["shape", "random", "scope"],
  ["kernels"],
  ["device"],
  ["tensor"],
  ["ops"],
  ["fluent"],
  ["nn", "optim"],
  ["text"],
  ["gpt"],
  ["train"],
  ["web"],
  ["cli", "index"],
];
const mayRiseAsType = ["kernels", "device", "tensor"];
const src = fileURLToPath(new URL("../src", import.meta.url));
const layerOf = (path: string) => path.split("/")[0].replace(/\.ts$/, "");
const levelOf = (path: string) => levels.findIndex((names) => names.includes(layerOf(path)));
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"));

/** What a file of src imports, from its text. */
function arrows(from: string): { to: string; isType: boolean }[] {
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^;"]*?from\s+)?"(\.[^"]+)"/gm;
  const matches = readFileSync(join(src, from), "utf8").matchAll(pattern);
  return [...matches].map(([, type, path]) => ({
    to: posix.join(posix.dirname(from), path),
    isType: !!type,
  }));
}

test("every import points down, or sideways in its layer", () => {
  assert.ok(files.length > 30);
  for (const from of files) {
    assert.ok(levelOf(from) >= 0, `${from} lies in no layer`);
    for (const { to, isType } of arrows(from)) {
      const mayRise =
        isType && mayRiseAsType.includes(layerOf(from)) && mayRiseAsType.includes(layerOf(to));
      assert.ok(levelOf(to) <= levelOf(from) || mayRise, `${from} imports ${to}`);
      if (layerOf(from) === "ops")
        assert.not(to.startsWith("kernels/reference"), `${from} imports ${to}`);
      if (layerOf(from) === "text")
        assert.ok(levelOf(to) === 0 || layerOf(to) === "text", `${from} imports ${to}`);
    }
  }
});

test("no file imports itself by way of others", () => {
  const reaches = (from: string, seen = new Set<string>()): Set<string> => {
    for (const { to, isType } of arrows(from))
      if (!isType && !seen.has(to)) reaches(to, seen.add(to));
    return seen;
  };
  for (const file of files) assert.not(reaches(file).has(file), `${file} is part of a cycle`);
});

test("budgets: no file over 250 lines, the engine's page 200, the model's 150", () => {
  const budget: Record<string, number> = { "tensor.ts": 200, "gpt/model.ts": 150 };
  const lessons = readdirSync(join(src, "../lessons")).filter((file) => file.endsWith(".ts"));
  for (const file of [...files, ...lessons.map((name) => `../lessons/${name}`)]) {
    const lines = readFileSync(join(src, file), "utf8").trimEnd().split("\n");
    assert.ok(lines.length <= (budget[file] ?? 250), `${file} has ${lines.length} lines`);
    const wide = lines.findIndex((line) => [...line].length > 100);
    assert.is(wide, -1, `${file}:${wide + 1} has more than 100 columns`);
  }
});

test.run();
