// The number of threads of the compiled kernels. TINYBARD_THREADS is read when the kernels are
// loaded, so each value is tested in a process of its own.

import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf } from "#src/backend/platform/node.js";

const script = `
  const { addonOf } = await import(process.argv[1]);
  const addon = addonOf(process.argv[2]);
  console.log(typeof addon === "string" ? addon : addon.threads());
`;
const platform = import.meta.resolve("#src/backend/platform/node.js");

/** Returns the number of threads in a new process, or why there are no kernels. */
function countThreads(name: string, setting: string): string {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", script, platform, name],
    { encoding: "utf8", env: { ...process.env, TINYBARD_THREADS: setting } },
  );
  assert.is(status, 0, stderr);
  return stdout.trim();
}

for (const name of ["cpu", "wasm"] as const) {
  const requested = process.env.TINYBARD_TEST_DEVICE;
  if (requested && requested !== name) continue;
  const test = suite(`thread count on ${name}`);
  const addon = addonOf(name);
  if (typeof addon === "string") console.log(`skipped: thread count on ${name}: ${addon}`);
  (typeof addon === "string" ? test.skip : test)("TINYBARD_THREADS, or one per core", () => {
    assert.is(countThreads(name, "3"), "3");
    assert.is(countThreads(name, ""), String(Math.min(availableParallelism(), 256)));
    for (const setting of ["0", "2.5", "257", "two"])
      assert.match(
        countThreads(name, setting),
        `TINYBARD_THREADS is ${setting}, expected an integer from 1 to 256`,
      );
  });
  test.run();
}
