// The benchmarks: that they run, and give sound numbers. How large these are is not for a test.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { devices } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("bench");
const folder = mkdtempSync(join(tmpdir(), "tinybard-bench-"));
test.after(() => rmSync(folder, { recursive: true }));
const asked = process.env.TINYBARD_TEST_DEVICE;

function run(
  program: string,
  ...words: string[]
): { code: number | null; out: string; err: string } {
  const file = fileURLToPath(new URL(`../../dist/bench/${program}.js`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...words], {
    encoding: "utf8",
  });
  return { code: status, out: stdout, err: stderr };
}

/** Is it a number that a measurement can have given? */
const isSound = (x: unknown) => typeof x === "number" && Number.isFinite(x) && x > 0;

test("run: all rows that a text selects, on every device that works, in figures and bars", () => {
  const [json, svg] = [join(folder, "bench.json"), join(folder, "bench.svg")];
  const words = ["--filter", "gelu", "--time", "5", "--json", json, "--svg", svg];
  const { code, out, err } = run("run", ...words, ...(asked ? ["--device", asked] : []));
  assert.is(code, 0, err);
  const { results, settings } = JSON.parse(readFileSync(json, "utf8"));
  const isMeasured = (name: string) => name !== "cuda-emulator";
  const working = devices().filter(({ available, name }) => available && isMeasured(name));
  const names = asked ? [asked] : working.map(({ name }) => name);
  assert.equal(settings.map((each: { device: string }) => each.device).sort(), names.sort());
  for (const name of names) {
    const rows = results.filter((row: { device: string }) => row.device === name);
    assert.is(rows.length, 13, name); // four kernels for three models, and one's linear layer
    for (const row of rows) {
      const { kernel, shape, ms, rate, unit, share, ratio } = row;
      for (const x of [ms, rate, share]) assert.ok(isSound(x), `${kernel} on ${name}: ${x}`);
      assert.is(unit, kernel === "linear" ? "GFLOP/s" : "GB/s");
      assert.ok(asked || name === "ts" ? ratio === null : isSound(ratio), `${kernel} on ${name}`);
      assert.ok(out.includes(shape));
    }
  }
  const bars = readFileSync(svg, "utf8").match(/<rect/g)?.length ?? 0;
  assert.is(bars, asked ? 0 : 5 * (names.length - 1));
});

test("step: a line for people, and one of JSON", () => {
  const device = asked ?? "auto";
  const { code, out, err } = run("step.bench", "lecture-0.2m", "2", "--device", device);
  assert.is(code, 0, err);
  assert.match(out, /^lecture-0\.2m on \w+: [\d.]+ ms a step, \d+ tokens\/s, .*\n$/);
  const words = ["lecture-0.2m", "--seconds", "0.1", "--threads", "1", "--json"];
  const result = JSON.parse(run("step.bench", ...words, "--device", device).out);
  for (const key of ["msPerStep", "msP10", "steps", "tokensPerSecond", "peakMemoryMB"])
    assert.ok(isSound(result[key]), key);
  assert.is(result.threads, 1);
  // a few steps from random weights, on random tokens: near log(65), which nothing can beat
  assert.ok(Math.abs(result.loss - Math.log(65)) < 0.2, `${result.loss}`);
});

test("a mistake in the words ends with 2, and is named", () => {
  for (const [program, words, message] of [
    ["run", ["--filter", "nothing like it"], "no row has the text nothing like it"],
    ["run", ["--tim", "5"], "did you mean --time?"],
    ["step.bench", ["lecture"], "lecture is no preset"],
    ["step.bench", ["lecture-0.2m", "0"], "steps is 0"],
    ["peers/run", ["bigram"], "bigram is no preset"],
  ] as const) {
    const { code, err } = run(program, ...words);
    assert.is(code, 2, err);
    assert.ok(err.includes(message), err);
  }
});

test.run();
