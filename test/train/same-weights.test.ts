// The comparison of the ranks' weights, and what they agree on between steps, with a communicator
// whose other rank answers as the test says.

import { GPT, setDefaultDevice } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Communicator, singleProcess } from "#src/distributed/communicator.js";
import { isShared } from "#src/distributed/shared-errors.js";
import { agreesAt, askHooks, hooksOfRank } from "#src/train/requests.js";
import { checkSameWeights } from "#src/train/same-weights.js";

const test = suite("train/same-weights");
setDefaultDevice("ts");
const model = new GPT({ vocabSize: 5, blockSize: 4, nLayer: 1, nHead: 1, nEmbd: 4 });

/** Returns a communicator of two ranks, in which the text of rank 1 is that of `change`. */
function twoRanks(change: (text: string) => string): Communicator {
  return { ...singleProcess, size: 2, gather: (text) => [text, change(text)] };
}

test("equal weights pass, and others are an error on every rank that names the host", () => {
  checkSameWeights(model, 8, singleProcess);
  checkSameWeights(
    model,
    8,
    twoRanks((text) => text.replace(/"[^"]*"\]$/, '"other"]')),
  );
  const [w] = model.parameters();
  const expected = JSON.stringify(["0", "far"]);
  try {
    checkSameWeights(
      model,
      8,
      twoRanks(() => expected),
    );
    assert.unreachable();
  } catch (error) {
    assert.match(
      (error as Error).message,
      /^step 8: rank 1 of 2 on far has other weights than rank 0/,
    );
    assert.ok(isShared(error));
  }
  let first = "";
  const record = twoRanks((text) => {
    first ||= text;
    return text;
  });
  checkSameWeights(model, 8, record);
  w.fill(0);
  assert.throws(
    () =>
      checkSameWeights(
        model,
        8,
        twoRanks(() => first),
      ),
    /has other weights/,
  );
});

test("what one rank requests counts on all, and other ranks only call hooks that request", () => {
  const other = (requests: number[]): Communicator => ({
    ...singleProcess,
    size: 2,
    sum(values) {
      for (const [i, x] of requests.entries()) values[i] += x;
    },
  });
  assert.equal(askHooks({}, other([0, 0, 1])), { save: false, pause: false, stop: true });
  assert.equal(askHooks({ save: () => true }, other([0, 1, 0])), {
    save: true,
    pause: true,
    stop: false,
  });
  assert.equal(askHooks({ stop: () => true }, other([1, 1, 1]), false).stop, false);
  assert.is(agreesAt(7, singleProcess, false), true);
  assert.is(agreesAt(7, other([]), true), true);
  assert.equal(
    [7, 8].map((step) => agreesAt(step, other([]), false)),
    [false, true],
  );
  const hooks = { stop: () => true, step: () => {} };
  assert.is(hooksOfRank(hooks, singleProcess), hooks);
  assert.equal(Object.keys(hooksOfRank(hooks, { ...singleProcess, rank: 1 })), [
    "stop",
    "save",
    "paused",
  ]);
});

test.run();
