// A GPU without bf16 (Turing, compute capability 7.5), as the emulator stands in for it: everything
// runs in f32, and what needs bf16 or tf32 is an error or a warning.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("turing");
const folder = mkdtempSync(join(tmpdir(), "tinybard-turing-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const library = new URL("../../dist/index.js", import.meta.url).href;

/** Runs Node, on Turing by default. */
function run(args: readonly string[], capability = "7.5") {
  return spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, TINYBARD_EMULATOR_CAPABILITY: capability },
  });
}

/** Trains a small model for three steps. */
function train(options: readonly string[], capability?: string) {
  const text = "text.txt";
  writeFileSync(join(folder, text), "To be, or not to be, that is the question:\n".repeat(60));
  const sizes = ["--n-layer", "1", "--n-embd", "16", "--n-head", "2", "--block-size", "16"];
  const steps = ["--batch-size", "4", "--max-iters", "3", "--eval-iters", "1", "--quiet"];
  const common = ["train", "--data", text, "--device", "cuda-emulator", ...sizes, ...steps];
  return run([program, ...common, ...options], capability);
}

if (process.env.TINYBARD_TEST_DEVICE !== "cuda-emulator") {
  test.skip("needs the emulator");
} else {
  test("f32 trains with the same losses as on Ampere", () => {
    const turing = train(["--out", "f32"]);
    assert.is(turing.status, 0, turing.stderr);
    const ampere = train(["--out", "ampere"], "8.0");
    assert.match(turing.stdout, /^step 3: train loss \d\.\d{4}, val loss \d\.\d{4}$/m);
    const losses = (text: string) => text.match(/^step .*$/gm);
    assert.equal(losses(turing.stdout), losses(ampere.stdout));
  });

  test("a large matmul fits in the shared memory of 64 KB", () => {
    const script = `
      import { arange, matmul } from ${JSON.stringify(library)};
      const sizes = { device: "cuda-emulator", dtype: "f32" };
      const x = arange(1536 * 16, sizes).reshape([1536, 16]).div(1536 * 16);
      const y = matmul(x, x.transpose(0, 1));
      console.log(y.data().at(-1));`;
    const { stdout, stderr } = run(["--input-type=module", "--eval", script]);
    const row = Array.from({ length: 16 }, (_, k) => (1535 * 16 + k) / (1536 * 16)); // the last
    const sum = row.reduce((total, x) => total + x * x, 0);
    assert.ok(Math.abs(Number(stdout) - sum) < 1e-6 * sum, `${stdout} ${sum} ${stderr}`);
  });

  test("bf16 is an error that names the GPU", () => {
    const { status, stderr } = train(["--dtype", "bf16", "--out", "bf16"]);
    assert.is(status, 1, stderr);
    assert.match(stderr, /dtype bf16 is not supported by the emulator \(only since Ampere\)/);
    assert.is(train(["--dtype", "bf16", "--out", "bf16-ampere"], "8.0").status, 0);
  });

  test("tf32 warns and computes in f32", () => {
    for (const option of [
      ["--dtype", "tf32"],
      ["--matmul-precision", "medium"],
    ]) {
      const { status, stdout, stderr } = train([...option, "--out", option[1]]);
      assert.is(status, 0, stderr);
      assert.match(stderr, /computes in f32, because the emulator has no bf16 instructions/);
      assert.not.match(stdout, /matmul precision: medium/);
    }
  });
}

test.run();
