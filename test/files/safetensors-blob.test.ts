// Tests of safetensors in Blobs: they have the bytes of files, and the same tensors.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSafetensors, saveSafetensors, type Tensor, tensor } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { setDefaultDevice } from "#src/backend/devices.js";
import { readSafetensors } from "#src/files/safetensors-blob.js";
import { isWindows } from "../support/platform.js";
import { checkRejection } from "../support/safetensors.js";

const test = suite("files/safetensors-blob");
test.before(() => setDefaultDevice("ts"));

const makeDict = () => ({
  f32: tensor([
    [1.5, -2],
    [0, Number.NaN],
  ]),
  f64: tensor([Math.PI], { dtype: "f64" }),
  i32: tensor([1, -(2 ** 31)], { dtype: "i32" }),
  empty: tensor([], { shape: [0, 3] }),
});
const describe = (dict: Record<string, Tensor>) =>
  Object.entries(dict).map(([name, x]) => [name, x.dtype, x.shape, Array.from(x.data())]);

test("a Blob has the bytes of a file, and loads as the same tensors", async () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-blob-"));
  try {
    const file = join(folder, "x.safetensors");
    saveSafetensors(file, makeDict(), { format: "pt" });
    const blob = saveSafetensors(makeDict(), { format: "pt" });
    const bytes = Buffer.from(await blob.arrayBuffer());
    assert.equal(bytes, fs.readFileSync(file));
    const expected = describe(loadSafetensors(file));
    assert.is(expected.length, 4);
    const onDisk = await fs.openAsBlob(file);
    for (const source of [blob, onDisk, bytes, new Uint8Array(bytes).buffer])
      assert.equal(describe(await loadSafetensors(source)), expected);
    assert.equal({ ...(await readSafetensors(blob)).metadata }, { format: "pt" });
  } finally {
    // on Windows, the Blob has the file open until it is collected
    for (let i = 0; isWindows && i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      globalThis.gc?.();
    }
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
});

test("errors name the file and escape its name", async () => {
  const content = await saveSafetensors(makeDict()).arrayBuffer();
  const file = new File([content.slice(0, -1)], "a\u001b[2J.safetensors");
  const error = await loadSafetensors(file).catch((error: unknown) => error);
  checkRejection(error, /^has \d+ bytes of data, expected /, "cut", "a\\u001b[2J.safetensors");
});

test("a Blob that cannot be read, or becomes shorter, is a SafetensorsError", async () => {
  const blob = saveSafetensors(makeDict());
  const failing = Object.assign(blob.slice(), {
    slice: () => ({ arrayBuffer: () => Promise.reject(new Error("it has changed on disk")) }),
  });
  const short = Object.assign(blob.slice(), { slice: () => new Blob(["abc"]) });
  for (const [source, reason] of [
    [failing, /changed on disk/],
    [short, /^ends at byte 3: /],
  ] as const)
    checkRejection(await loadSafetensors(source).catch((e) => e), reason, `${reason}`, "blob");
});

test("other arguments are a TypeError", async () => {
  for (const source of [null, undefined, 3, {}, [1], new Float32Array(4)]) {
    const error = await loadSafetensors(source as never as Blob).catch((error: unknown) => error);
    assert.match(String(error), /^TypeError: loadSafetensors: source is .*, expected a Blob/);
  }
  for (const dict of [null, undefined, 3])
    assert.throws(() => saveSafetensors(dict as never), /^saveSafetensors: dict is .*, expected/);
});

test.run();
