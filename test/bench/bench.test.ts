// Tests that the benchmarks run and report plausible numbers. Their values are not tested.

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
const requested = process.env.TINYBARD_TEST_DEVICE;

function run(
  program: string,
  ...args: string[]
): { code: number | null; out: string; err: string } {
  const file = fileURLToPath(new URL(`../../dist/bench/${program}.js`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], {
    encoding: "utf8",
  });
  return { code: status, out: stdout, err: stderr };
}

/** Returns true for a positive, finite number. */
const isPositive = (x: unknown) => typeof x === "number" && Number.isFinite(x) && x > 0;

test("run: all rows that match a filter, on every available device, as JSON and SVG", () => {
  const json = join(folder, "bench.json");
  const svg = join(folder, "bench.svg");
  const args = ["--filter", "gelu", "--time", "5", "--json", json, "--svg", svg];
  if (requested) args.push("--device", requested);
  const { code, out, err } = run("run", ...args);
  assert.is(code, 0, err);
  const { results, settings } = JSON.parse(readFileSync(json, "utf8"));
  const measured = devices().filter(({ available, name }) => available && name !== "cuda-emulator");
  const names = requested ? [requested] : measured.map(({ name }) => name);
  assert.equal(settings.map((setting: { device: string }) => setting.device).sort(), names.sort());
  for (const name of names) {
    const rows = results.filter((row: { device: string }) => row.device === name);
    assert.is(rows.length, 13, name); // four kernels for three models, and the linear layer of one
    for (const row of rows) {
      const { kernel, shape, ms, rate, unit, share, ratio } = row;
      for (const x of [ms, rate, share]) assert.ok(isPositive(x), `${kernel} on ${name}: ${x}`);
      assert.is(unit, kernel === "linear" ? "GFLOP/s" : "GB/s");
      assert.ok(
        requested || name === "ts" ? ratio === null : isPositive(ratio),
        `${kernel} on ${name}`,
      );
      assert.ok(out.includes(shape));
    }
  }
  const bars = readFileSync(svg, "utf8").match(/<rect/g)?.length ?? 0;
  assert.is(bars, requested ? 0 : 5 * (names.length - 1));
});

test("step: --profile lists the kernels of a step; with the rest they make up the step", () => {
  const available = devices().flatMap(({ name, available }) => (available ? name : []));
  const on = requested ?? ["cpu", "wasm", "ts"].find((name) => available.includes(name as "ts"));
  const args = ["lecture-0.2m", "2", "--device", String(on), "--profile", "--json"];
  const { code, out, err } = run("step.bench", ...args);
  if (on === "cuda" || on === "cuda-emulator") {
    assert.is(code, 2);
    assert.match(err, /--profile is not available on cuda/);
    return;
  }
  assert.is(code, 0, err);
  const { rows, kernelMs, restMs } = JSON.parse(out).profile;
  const names = new Set(rows.map(({ kernel }: { kernel: string }) => kernel));
  for (const kernel of ["linear", "linearBackward", "selfAttentionBackward", "adamw"])
    assert.ok(names.has(kernel), kernel);
  for (const { kernel, calls, ms, rate, ceiling } of rows)
    for (const x of [calls, ms, rate, ceiling]) assert.ok(isPositive(x), `${kernel}: ${x}`);
  const { calls, sizes } = rows.find(
    ({ kernel }: { kernel: string }) => kernel === "selfAttention",
  );
  assert.equal([calls, sizes], [4, "16 x 32 x 4 x 16"]);
  assert.ok(isPositive(restMs) && kernelMs > restMs, `${kernelMs} and ${restMs} ms`);
});

test("step: a line of text, or one of JSON", () => {
  const device = requested ?? "auto";
  const { code, out, err } = run("step.bench", "lecture-0.2m", "2", "--device", device);
  assert.is(code, 0, err);
  assert.match(out, /^lecture-0\.2m on \w+: [\d.]+ ms per step, \d+ tokens\/s, .*\n$/);
  const args = ["lecture-0.2m", "--seconds", "0.1", "--threads", "1", "--json"];
  const result = JSON.parse(run("step.bench", ...args, "--device", device).out);
  for (const key of ["msPerStep", "msP10", "steps", "tokensPerSecond", "peakMemoryMB"])
    assert.ok(isPositive(result[key]), key);
  assert.is(result.threads, 1);
  // on random tokens, the loss after a few steps is near its minimum, log(65)
  assert.ok(Math.abs(result.loss - Math.log(65)) < 0.2, `${result.loss}`);
});

test("invalid arguments exit with 2 and a message", () => {
  for (const [program, args, message] of [
    ["run", ["--filter", "nothing like it"], "no row contains the text nothing like it"],
    ["run", ["--tim", "5"], "did you mean --time?"],
    ["step.bench", ["lecture"], "lecture is not a preset"],
    ["step.bench", ["lecture-0.2m", "0"], "steps is 0"],
    ["peers/run", ["bigram"], "bigram is not a preset"],
  ] as const) {
    const { code, err } = run(program, ...args);
    assert.is(code, 2, err);
    assert.ok(err.includes(message), err);
  }
});

test.run();
