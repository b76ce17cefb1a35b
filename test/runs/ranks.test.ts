// How rank 0 sends a run to the other ranks.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Communicator, singleProcess } from "#src/distributed/communicator.js";
import { withRun } from "#src/runs/open.js";
import { sendRun } from "#src/runs/ranks.js";

const test = suite("runs/ranks");
const folder = mkdtempSync(join(tmpdir(), "tinybard-ranks-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("rank 0 sends its state without a copy of it in the memory of the device", async () => {
  const data = join(folder, "text.txt");
  writeFileSync(data, "to be, or not to be: that is the question. ".repeat(20));
  let sentBytes = 0;
  const communicator: Communicator = {
    ...singleProcess,
    size: 2,
    broadcastInto: ({ byteLength }) => (sentBytes += byteLength),
    gather: (text) => [text, text],
  };
  const options = { data, device: "ts", nLayer: 1, nHead: 2, nEmbd: 32, blockSize: 8 } as const;
  await withRun({ ...options, emaDecay: 0.9, out: join(folder, "run") }, async (run) => {
    const { pool } = run.device;
    const before = pool.liveBytes;
    pool.peakBytes = before;
    sendRun(communicator, run);
    assert.ok(sentBytes > 200_000, `${sentBytes} bytes sent`); // four copies of 13,000 weights
    assert.ok(pool.peakBytes - before < 20_000, `${pool.peakBytes - before} bytes allocated`);
  });
});

test.run();
