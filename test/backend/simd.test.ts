// The instruction sets of the C++ addon: TINYBARD_SIMD chooses one when the addon is loaded, so each
// is tried in a process of its own.

import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf } from "#src/backend/addon.js";

const test = suite("simd");
const addon = addonOf("cpu");
const here = dirname(fileURLToPath(import.meta.url));
const known = { x64: ["avx512", "avx2", "scalar"], arm64: ["neon", "scalar"] };
const ofMachine = known[process.arch as "x64"] ?? ["scalar"];

/** Runs Node in the package's folder under an instruction set. */
function run(simd: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    encoding: "utf8",
    cwd: join(here, "../.."),
    env: { ...process.env, TINYBARD_SIMD: simd, TINYBARD_CUDA_ADDON: "none" }, // nor may auto
  });
  assert.is(status, 0, `${simd}: ${stdout}${stderr}`);
  return stdout;
}

/** What is found under an instruction set, and how fast it multiplies matrices. */
interface Found {
  auto: string;
  reason: string;
  error: string;
  simd?: string;
  rate?: number; // multiplications and additions a second
}
const find = `
  import { device, devices } from "tinybard";
  const { reason } = devices().find(({ name }) => name === "cpu");
  const found = { auto: device("auto").name, reason, error: "" };
  try {
    const { addon } = device("cpu");
    const [a, b, c] = [1, 2, 3].map(() => new Float32Array(256 * 256).fill(1));
    addon.threads(1);
    const times = Array.from({ length: 30 }, () => {
      const start = performance.now();
      addon.kernels.matmul(a, b, c, 1, 256, 256, 256, 0, 0, false, false, false);
      return performance.now() - start;
    });
    Object.assign(found, { simd: addon.simd, rate: (2 * 256 ** 3) / Math.min(...times) / 1e-3 });
  } catch (error) {
    found.error = error.message;
  }
  console.log(JSON.stringify(found));
`;
const look = (simd: string): Found => JSON.parse(run(simd, "--input-type=module", "-e", find));

function define(chosen: string): void {
  const found = new Map(ofMachine.map((simd) => [simd, look(simd)]));
  const usable = ofMachine.filter((simd) => found.get(simd)?.simd);

  test("the best that there is runs, or the one asked for", () => {
    assert.ok(usable.includes("scalar"));
    assert.is(look("").simd, usable[0]);
    for (const simd of usable) assert.is(found.get(simd)?.simd, simd);
  });

  test("one that is unknown or lacking is named; auto falls back to ts", () => {
    const lacking = ["avx512", "avx2", "neon"].filter((simd) => !usable.includes(simd));
    for (const simd of ["sse9", "AVX2", ...lacking]) {
      const { auto, error, reason } = look(simd);
      const why = lacking.includes(simd)
        ? "this processor does not have it"
        : "expected avx512, avx2, neon or scalar";
      assert.match(
        error,
        `device cpu is not available: no C++ addon: TINYBARD_SIMD is ${simd}: ${why}`,
      );
      assert.ok(error.endsWith(reason));
      assert.is(auto, "ts");
    }
  });

  for (const simd of usable)
    if (simd !== chosen)
      test(`the kernels hold on ${simd}`, () => {
        const pages = ["backend/kernels.test", "backend/threads.test", "backend/vecmath.test"];
        const said = run(simd, join(here, "../run.js"), ...pages, "--device", "cpu");
        assert.match(said, /^[1-9]\d* passed, 0 failed, 0 skipped$/m);
      });

  test("vectors multiply matrices at least twice as fast", () => {
    if (usable.length < 2) return console.log("skipped: simd: this processor has no vectors");
    const rate = (simd: string) => found.get(simd)?.rate ?? 0;
    const best = Math.max(...usable.slice(0, -1).map(rate));
    assert.ok(best > 2 * rate("scalar"), `${best} a second, scalar ${rate("scalar")}`);
  });
}

if (typeof addon === "string") {
  console.log(`skipped: simd: ${addon}`);
  test.skip("needs the C++ addon");
} else define(addon.simd);
test.run();
