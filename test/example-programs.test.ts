// Each program in examples/ runs, learns what it says, and is short.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("example programs");
const folder = fileURLToPath(new URL("../examples/", import.meta.url));
const run = (...args: string[]) =>
  spawnSync(process.execPath, [`${folder}run.mjs`, ...args], { encoding: "utf8" });

/** Throws unless the number that follows `label` in the output is in a range. */
function checkNumber(output: string, label: string, low: number, high: number): void {
  const text = output.slice(output.lastIndexOf(label) + label.length);
  const value = Number.parseFloat(text);
  assert.ok(value >= low && value <= high, `${label}${value}, expected ${low} to ${high}`);
}

const checks: Record<string, (output: string) => void> = {
  "custom-op"(output) {
    assert.match(output, /the derivative is right: true/);
    checkNumber(output, "Huber loss:    y = ", 1.9, 2.1);
    checkNumber(output, " x + ", 0.9, 1.3);
  },
  digits: (output) => checkNumber(output, "accuracy ", 0.8, 1),
  "gpt-loop"(output) {
    checkNumber(output, "step 300: loss ", 0, 0.3);
    assert.match(output, /Up above the world so high/);
  },
  lstm: (output) => checkNumber(output, "accuracy on 100 bits: ", 0.99, 1),
  "matrix-factorization"(output) {
    checkNumber(output, "of the known ratings, ", 0, 0.1);
  },
  xor(output) {
    checkNumber(output, "0 xor 1 = ", 0.9, 1);
    checkNumber(output, "1 xor 1 = ", 0, 0.1);
  },
};

const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));
assert.equal(
  files.map((file) => file.slice(0, -3)),
  Object.keys(checks),
);
for (const [name, check] of Object.entries(checks)) {
  test(`${name} learns`, () => {
    const { status, stdout, stderr } = run(name);
    assert.is(status, 0, stderr);
    assert.is(stderr, "");
    check(stdout);
    const lines = readFileSync(`${folder}${name}.ts`, "utf8").trimEnd().split("\n");
    assert.ok(lines.length < 60, `${lines.length} lines`);
  });
}

test("an unknown name is a usage error, and no name lists all", () => {
  assert.is(run("none").status, 2);
  assert.match(run().stdout, /custom-op, digits, gpt-loop/);
});

test.run();
