// The checkpoint that commands read, for each combination of best/ and last/.

import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { saveSafetensors } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CheckpointName, chooseCheckpoint } from "#src/runs/choose.js";

const test = suite("choose");
const folder = mkdtempSync(join(tmpdir(), "tinybard-choose-"));
test.after(() => rmSync(folder, { recursive: true }));
let count = 0;

/** Creates a run with the states of its checkpoints: a step, or the content of state.json. */
function makeRun(states: Partial<Record<CheckpointName, number | string>>): string {
  const out = join(folder, String(count++));
  for (const [name, state] of Object.entries(states)) {
    mkdirSync(join(out, name), { recursive: true });
    const others = { evaluation: null, bestValLoss: null, elapsedSeconds: 1, textSha256: "" };
    const text = typeof state === "number" ? JSON.stringify({ step: state, ...others }) : state;
    writeFileSync(join(out, name, "state.json"), text);
    const step = typeof state === "number" ? state : 0;
    saveSafetensors(join(out, name, "model.safetensors"), {}, { step: String(step) });
  }
  return out;
}

test("the best checkpoint is the default, except for one of step 0", () => {
  for (const [states, name, step, reason] of [
    [{ best: 500, last: 500 }, "best", 500, /^$/],
    [{ best: 500, last: 643 }, "best", 500, /lowest validation loss; last\/ is from step 643/],
    [{ best: 0, last: 643 }, "last", 643, /best\/ is from step 0.*--checkpoint best/],
    [{ best: 0, last: 0 }, "best", 0, /^$/],
    [{ best: 0 }, "best", 0, /^$/],
    [{ last: 0 }, "last", 0, /^$/],
    [{ last: 7 }, "last", 7, /^$/],
    [{ best: "", last: 7 }, "last", 7, /best.state\.json/],
    [{ best: 3, last: "[]" }, "best", 3, /last.state\.json/],
  ] as const) {
    const chosen = chooseCheckpoint(makeRun(states));
    assert.is(chosen.name, name, JSON.stringify(states));
    assert.is(chosen.state.step, step);
    assert.match(chosen.reason, reason);
  }
});

test("a checkpoint with damaged weights is passed over, if the other one is whole", () => {
  const damages: [(file: string) => void, RegExp][] = [
    [(file) => rmSync(file), /no such file/],
    [(file) => writeFileSync(file, ""), /has 0 bytes/],
    [(file) => truncateSync(file, 20), /header has|bytes/],
    [
      (file) => saveSafetensors(file, {}, { step: "5" }),
      /from step 5, but the state\.json beside it is from step 20/,
    ],
  ];
  for (const [damage, reason] of damages) {
    for (const [damaged, other] of [
      ["best", "last"],
      ["last", "best"],
    ] as const) {
      const run = makeRun({ best: 20, last: 20 });
      const file = join(run, damaged, "model.safetensors");
      damage(file);
      const chosen = chooseCheckpoint(run);
      assert.is(chosen.name, other);
      assert.ok(chosen.reason.startsWith(`${file}: `), chosen.reason);
      assert.match(chosen.reason, reason);
      assert.throws(() => chooseCheckpoint(run, damaged), reason);
    }
  }
});

test("a requested checkpoint is never replaced by another one", () => {
  const run = makeRun({ best: 0, last: 643 });
  assert.is(chooseCheckpoint(run, "best").state.step, 0);
  assert.is(chooseCheckpoint(run, "last").state.step, 643);
  assert.throws(
    () => chooseCheckpoint(makeRun({ last: 3 }), "best"),
    /run: .* has no checkpoint best\//,
  );
  assert.throws(() => chooseCheckpoint(makeRun({ best: "", last: 3 }), "best"), /state\.json/);
});

test("without a checkpoint: an error, which names a damaged file", () => {
  assert.throws(() => chooseCheckpoint(makeRun({})), /has no checkpoint yet/);
  assert.throws(() => chooseCheckpoint(makeRun({ best: "{" })), /best.state\.json/);
});

test.run();
