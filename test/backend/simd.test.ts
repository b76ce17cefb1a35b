// The instruction sets of the C++ addon. TINYBARD_SIMD chooses one when the addon is loaded, so each
// is tested in its own process.

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf } from "#src/backend/platform/node.js";
import { isWine } from "../support/platform.js";

const test = suite("simd");
const addon = addonOf("cpu");
const hasWasm = typeof addonOf("wasm") !== "string";
const here = dirname(fileURLToPath(import.meta.url));
const byArch = { x64: ["avx512", "avx2", "scalar"], arm64: ["neon", "scalar"] };
const instructionSets = byArch[process.arch as "x64"] ?? ["scalar"];

/** Runs Node in the repository root with an instruction set; returns its output. */
function runNode(simd: string, args: string[], env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    cwd: join(here, "../.."),
    env: { ...process.env, TINYBARD_SIMD: simd, TINYBARD_CUDA_ADDON: "none", ...env },
  });
  assert.is(status, 0, `${simd}: ${stdout}${stderr}`);
  return stdout;
}

/** The state of the cpu device with an instruction set. */
interface Report {
  auto: string; // the device that "auto" chooses
  reason: string; // why cpu is not available
  error: string; // the message of device("cpu")
  simd?: string;
  rate?: number; // FLOP/s of a matmul on one thread
}
const reportScript = `
  import { device, devices } from "tinybard";
  const { reason } = devices().find(({ name }) => name === "cpu");
  const report = { auto: device("auto").name, reason, error: "" };
  try {
    const { addon } = device("cpu");
    const a = new Float32Array(256 * 256).fill(1);
    const b = new Float32Array(256 * 256).fill(1);
    const c = new Float32Array(256 * 256);
    addon.threads(1);
    const times = Array.from({ length: 30 }, () => {
      const start = performance.now();
      addon.kernels.matmul(a, b, c, 1, 256, 256, 256, 0, 0, false, false, false);
      return performance.now() - start;
    });
    report.simd = addon.simd;
    report.rate = (2 * 256 ** 3) / Math.min(...times) / 1e-3;
  } catch (error) {
    report.error = error.message;
  }
  console.log(JSON.stringify(report));
`;

function getReport(simd: string): Report {
  return JSON.parse(runNode(simd, ["--input-type=module", "-e", reportScript]));
}

function define(chosen: string): void {
  const reports = new Map(instructionSets.map((simd) => [simd, getReport(simd)]));
  const available = instructionSets.filter((simd) => reports.get(simd)?.simd);

  test("TINYBARD_SIMD chooses an instruction set; the default is the best available one", () => {
    assert.ok(available.includes("scalar"));
    assert.is(getReport("").simd, available[0]);
    for (const simd of available) assert.is(reports.get(simd)?.simd, simd);
  });

  test("an unknown or unavailable one is an error that names it; auto falls back to wasm or ts", () => {
    const unavailable = ["avx512", "avx2", "neon"].filter((simd) => !available.includes(simd));
    for (const simd of ["sse9", "AVX2", ...unavailable]) {
      const { auto, error, reason } = getReport(simd);
      const why = unavailable.includes(simd)
        ? "this processor does not have it"
        : "expected avx512, avx2, neon or scalar";
      assert.ok(error.startsWith("device cpu is not available: no C++ addon: "), error);
      assert.match(error, `: TINYBARD_SIMD is ${simd}: ${why}`); // of each file that was tried
      assert.ok(error.endsWith(reason));
      assert.is(auto, hasWasm ? "wasm" : "ts");
    }
  });

  for (const simd of available)
    if (simd !== chosen)
      test(`the kernel tests pass on ${simd}`, () => {
        const all = ["backend/kernels", "backend/threads", "backend/vecmath", "ops/causality"];
        const names = isWine ? all.slice(0, 1) : [...all, "ops/special-values"]; // Wine takes long
        const files = names.map((name) => `${name}.test`);
        const output = runNode(simd, [join(here, "../run.js"), ...files, "--device", "cpu"]);
        assert.match(output, /^[1-9]\d* passed, 0 failed, 0 skipped$/m);
      });

  test("the tests of bf16 matmuls pass on avx2, which has bf16 in software", () => {
    if (!available.includes("avx2")) return console.log("skipped: simd: no avx2");
    const args = [join(here, "../run.js"), "ops/matmul-precision.test", "--device", "cpu"];
    const output = runNode("avx2", args, { TINYBARD_BF16: "emulated" });
    assert.match(output, /^[1-9]\d* passed, 0 failed, 0 skipped$/m);
  });

  test("matmul with vectors is at least twice as fast as without", () => {
    if (available.length < 2) return console.log("skipped: simd: this processor has no vectors");
    const rate = (simd: string) => reports.get(simd)?.rate ?? 0;
    const best = Math.max(...available.slice(0, -1).map(rate));
    assert.ok(best > 2 * rate("scalar"), `${best} FLOP/s, scalar ${rate("scalar")}`);
  });
}

if (typeof addon === "string") {
  console.log(`skipped: simd: ${addon}`);
  test.skip("needs the C++ addon");
} else define(addon.simd);
test.run();
