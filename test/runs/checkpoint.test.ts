// Checkpoints are atomic: after kill -9 at any moment, the old one or the new one is there.

import { spawn } from "node:child_process";
import fs, { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadSafetensors, nn, optim } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { quote } from "#src/errors.js";
import { FileError } from "#src/files/file-error.js";
import { SafetensorsError } from "#src/files/safetensors.js";
import {
  loadCheckpoint,
  loadConsistentState,
  loadState,
  type RunState,
  readCheckpoint,
  recover,
  saveCheckpoint,
} from "#src/runs/checkpoint.js";
import {
  diskErrors,
  makeFullDisk,
  makeSystemError,
  recordSyncs,
  withPatchedFs,
} from "../support/faults.js";
import { isWindows } from "../support/platform.js";

const test = suite("checkpoint");
const folder = mkdtempSync(join(tmpdir(), "tinybard-checkpoint-"));
test.after(() => rmSync(folder, { recursive: true }));

/** Saves in another process until it is killed. Returns the last step that it reported. */
function saveUntilKilled(limit: { milliseconds: number } | { rename: number }): Promise<number> {
  const saver = fileURLToPath(new URL("../support/checkpoint-writer.js", import.meta.url));
  const args = "rename" in limit ? [folder, String(limit.rename)] : [folder];
  const child = spawn(process.execPath, [saver, ...args]);
  let reported = 0;
  child.stdout.on("data", (chunk) => {
    if (reported === 0 && "milliseconds" in limit)
      setTimeout(() => child.kill("SIGKILL"), limit.milliseconds);
    reported = Math.max(reported, ...String(chunk).trim().split("\n").map(Number));
  });
  return new Promise((resolve) => child.on("close", () => resolve(reported)));
}

/**
 * Asserts that the folder has one complete checkpoint, of the step reported or the next one: first
 * for a reader, which must not change any file, and then for the next writer.
 */
function assertComplete(reported: number): void {
  for (const name of ["model", "optimizer"]) loadSafetensors(join(folder, `${name}.safetensors`));
  const before = readdirSync(folder);
  const read = readCheckpoint(folder);
  for (const w of Object.values(read?.weights.tensors ?? {}))
    assert.ok(w.data().every((value) => value === read?.state.step));
  assert.equal(readdirSync(folder), before);
  recover(folder);
  assert.is(loadState(folder)?.step, read?.state.step);
  const step = loadState(folder)?.step as number;
  assert.ok(step === reported || step === reported + 1, `step ${step}, reported ${reported}`);
  const model = new nn.Linear(512, 512);
  const optimizer = new optim.AdamW(model.parameters());
  loadCheckpoint(folder, model, optimizer);
  const tensors = [...model.parameters(), ...Object.values(optimizer.stateDict())];
  for (const x of tensors) assert.ok(x.data().every((value) => value === step));
  assert.equal(readdirSync(folder).sort(), [
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
  ]);
}

test("killed at a random moment while saving", async () => {
  for (let i = 0; i < 6; i++) assertComplete(await saveUntilKilled({ milliseconds: 7 * i * i }));
});

test("killed between writing and renaming, or between two renames", async () => {
  for (const rename of [4, 5, 6]) {
    const reported = await saveUntilKilled({ rename });
    assert.is(reported, 1);
    assertComplete(reported);
  }
});

test("read while the next checkpoints are written: always a complete one", async () => {
  const saving = saveUntilKilled({ milliseconds: 1500 });
  const seen = new Set<number>();
  let isDone = false;
  void saving.then(() => {
    isDone = true;
  });
  while (!isDone) {
    const read = readCheckpoint(folder);
    const { step } = read?.state ?? { step: -1 };
    seen.add(step);
    for (const w of Object.values(read?.weights.tensors ?? {}))
      assert.ok(w.data().every((value) => value === step));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(seen.size > 5, `read ${seen.size} checkpoints`);
  assertComplete(await saving);
});

test("killed while saving the first checkpoint: there is none, or it is complete", async () => {
  for (const rename of [1, 2, 3]) {
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    assert.is(await saveUntilKilled({ rename }), 0);
    assert.is(loadState(folder)?.step, rename === 1 ? undefined : 1);
  }
  assert.is(loadState(join(folder, "none")), null);
});

const fileNames = ["model.safetensors", "optimizer.safetensors", "state.json"];

/** Saves a small model whose weights all equal the step. */
function save(target: string, step: number): void {
  const model = new nn.Linear(4, 4);
  for (const w of model.parameters()) w.fill(step);
  const optimizer = new optim.AdamW(model.parameters());
  const state = { step, elapsedSeconds: 1.5, textSha256: "", evaluation: null, bestValLoss: 2 };
  saveCheckpoint(target, model, optimizer, state);
}

function newTarget(): string {
  return join(mkdtempSync(join(folder, "small-")), "last");
}

test("a disk that cannot be written: an error with the file's name, and the old checkpoint", async () => {
  const target = newTarget();
  save(target, 1);
  const size = fileNames.reduce((sum, name) => sum + fs.statSync(join(target, name)).size, 0);
  const { fsyncSync } = fs;
  for (const code of diskErrors) {
    const failAtSync = (k: number) => () => {
      let syncs = 0;
      return {
        fsyncSync: (fd: number) => {
          if (++syncs === k) throw makeSystemError(code, "fsync");
          fsyncSync(fd);
        },
      };
    };
    const capacities = [0, 1, 100, 400, size >> 1, size - 1];
    const faults = [
      ...capacities.map((capacity) => () => makeFullDisk(capacity, code)),
      // three files and the folder, which Windows cannot sync
      ...(isWindows ? [1, 2, 3] : [1, 2, 3, 4]).map(failAtSync),
    ];
    for (const makeFault of faults) {
      await withPatchedFs(makeFault(), () =>
        assert.throws(
          () => save(target, 2),
          ({ message, name }: Error) =>
            name === "FileError" && message.startsWith(target) && message.includes(`(${code})`),
        ),
      );
      assert.equal(readdirSync(target).sort(), fileNames);
      assert.is(loadConsistentState(target)?.step, 1);
      assert.is(readCheckpoint(target)?.weights.tensors.bias.data()[0], 1);
    }
  }
  save(target, 3);
  assert.is(loadConsistentState(target)?.step, 3);
});

test("a failed rename leaves a checkpoint that the next save completes", async () => {
  const { renameSync } = fs;
  for (const k of [1, 2, 3]) {
    const target = newTarget();
    save(target, 1);
    let renames = 0;
    const patch: Partial<typeof fs> = {
      renameSync: (from, to) => {
        if (++renames === k) throw makeSystemError("EIO", "rename");
        renameSync(from, to);
      },
    };
    await withPatchedFs(patch, () => assert.throws(() => save(target, 2), /\(EIO\)/));
    const step = readCheckpoint(target)?.state.step;
    assert.is(step, k === 1 ? 1 : 2, "nothing has been renamed, or reading continues");
    assert.is(readCheckpoint(target)?.weights.tensors.bias.data()[0], step);
    save(target, 3);
    assert.is(loadConsistentState(target)?.step, 3);
    assert.equal(readdirSync(target).sort(), fileNames);
  }
});

test("files are synced before the renames, and the folders after them", async () => {
  const target = newTarget();
  const { patch, calls } = recordSyncs();
  const written = ["state.json", "optimizer.safetensors", "model.safetensors"];
  const syncsOf = (name: string) => (isWindows ? [] : [`sync ${name}`]);
  const saving = [
    ...written.map((name) => `sync ${name}.tmp`),
    ...syncsOf("last"),
    ...written.map((name) => `rename ${name}`),
    ...syncsOf("last"),
  ];
  await withPatchedFs(patch, () => save(target, 1));
  assert.equal(calls, [...syncsOf(basename(join(target, ".."))), ...saving]);
  calls.length = 0;
  await withPatchedFs(patch, () => save(target, 2));
  assert.equal(calls, saving);
});

test("the folder of a run that has disappeared is not created again", () => {
  const target = newTarget();
  rmSync(join(target, ".."), { recursive: true });
  assert.throws(
    () => save(target, 1),
    (error: Error) => error instanceof FileError && error.message.startsWith(`${target}: no such`),
  );
  assert.not(fs.existsSync(join(target, "..")));
});

test("files of different steps are refused before anything is loaded", () => {
  const target = newTarget();
  save(target, 20);
  const model = new nn.Linear(4, 4);
  for (const w of model.parameters()) w.fill(7);
  const optimizer = new optim.AdamW(model.parameters());
  const old = newTarget();
  save(old, 5);
  for (const name of fileNames) {
    const whole = readFileSync(join(target, name));
    writeFileSync(join(target, name), readFileSync(join(old, name)));
    const [file, step, expected] = {
      "state.json": ["optimizer.safetensors", 20, 5],
      "optimizer.safetensors": ["optimizer.safetensors", 5, 20],
      "model.safetensors": ["model.safetensors", 5, 20],
    }[name] as [string, number, number];
    const isMismatch = (error: Error) =>
      error instanceof SafetensorsError &&
      error.message ===
        `${join(target, file)}: from step ${step}, ` +
          `but the state.json beside it is from step ${expected}`;
    assert.throws(() => loadConsistentState(target), isMismatch);
    assert.throws(() => loadCheckpoint(target, model, optimizer), isMismatch);
    for (const w of model.parameters()) assert.ok(w.data().every((x) => x === 7));
    // a reader needs no optimizer state
    if (name === "optimizer.safetensors") assert.is(readCheckpoint(target)?.state.step, 20);
    else assert.throws(() => readCheckpoint(target), /model\.safetensors: from step /);
    writeFileSync(join(target, name), whole);
  }
  assert.is(readCheckpoint(target)?.state.step, 20);
});

test("a damaged state.json is refused with its name and the field", () => {
  const target = newTarget();
  save(target, 1);
  const file = join(target, "state.json");
  const state: RunState = JSON.parse(readFileSync(file, "utf8"));
  const hash = "0123456789abcdef".repeat(4);
  const cases: [string, string][] = [
    ["", "empty, expected JSON"],
    ["null", "not a JSON object"],
    ["[1]", "not a JSON object"],
    ['{"step":', "not valid JSON"],
    ["{}", "step is missing, expected a whole number from 0 up"],
    ...(
      [
        ["step", "7"],
        ["step", 3.5],
        ["step", -1],
        ["step", null],
        ["step", true],
        ["step", 2 ** 53],
        ["step", [1]],
        ["evaluation", 3],
        ["evaluation", {}],
        ["evaluation", { trainLoss: 1, valLoss: "2" }],
        ["bestValLoss", "2"],
        ["elapsedSeconds", -1],
        ["elapsedSeconds", "1"],
        ["textSha256", null],
        ["textSha256", "abc"],
        ["textSha256", hash.toUpperCase()],
        ["tokenizerSha256", 5],
        ["baseSha256", ""],
      ] as const
    ).map(([name, value]): [string, string] => [
      JSON.stringify({ ...state, [name]: value }),
      `${name} is ${quote(value)}, expected`,
    ]),
  ];
  for (const [text, problem] of cases) {
    writeFileSync(file, text);
    for (const read of [loadState, loadConsistentState, readCheckpoint])
      assert.throws(
        () => read(target),
        ({ message }: Error) => message.startsWith(`${file}: ${problem}`),
      );
  }
  const valid: RunState = {
    step: 1,
    evaluation: { trainLoss: 1, valLoss: 2 },
    bestValLoss: null,
    elapsedSeconds: 0,
    textSha256: hash,
    tokenizerSha256: hash,
    baseSha256: hash,
  };
  writeFileSync(file, `\ufeff${JSON.stringify(valid)}`);
  assert.equal(loadState(target), valid);
  // earlier versions saved an evaluation that had diverged
  writeFileSync(file, JSON.stringify({ ...valid, evaluation: { trainLoss: null, valLoss: null } }));
  assert.equal(loadState(target), { ...valid, evaluation: null });
});

test.run();
