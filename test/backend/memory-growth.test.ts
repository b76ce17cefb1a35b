// Loops that never wait and call nothing to free memory: the memory of the process stays bounded.
// Each loop allocates half a gigabyte or more, or hundreds of thousands of small tensors.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { eachDevice } from "../support/harness.js";
import { loopNames } from "../support/memory-loops.js";

const fastLoops = ["elementwise", "batches", "captures"]; // of devices that are slow

const program = fileURLToPath(new URL("../support/memory-loops.js", import.meta.url));

eachDevice("memory growth", (test, on) => {
  const measure = (...args: string[]): number => {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      [program, on.name, ...args],
      { encoding: "utf8", timeout: 300_000, env: { ...process.env, TINYBARD_POISON: "" } },
    );
    assert.equal([status, signal], [0, null], stderr);
    return Number(stdout);
  };

  const names = on.name === "cpu" || on.name === "cuda" ? loopNames : fastLoops;
  for (const name of names) {
    test(`a synchronous loop, ${name}`, () => {
      const growth = measure(name);
      assert.ok(growth < 220, `the process grew by ${growth} MB`);
    });
  }

  test("a synchronous loop in a worker thread", () => {
    if (!on.memory.isHost) return; // one thread of a process uses the device
    const growth = measure("elementwise", "worker");
    assert.ok(growth < 220, `the process grew by ${growth} MB`);
  });
});
