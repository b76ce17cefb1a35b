// `tinybard train --processes N` and `--gpus N`: they start the ranks, pass on signals and exit
// codes, and refuse what cannot be started.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  cli,
  findRankPids,
  findTrainingEngines,
  start,
  tinyRun,
  toArguments,
} from "../support/train-ranks.js";

const engines = findTrainingEngines("--processes");
const folder = mkdtempSync(join(tmpdir(), "tinybard-launch-"));
const tiny = tinyRun(folder);
let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);
const test = suite("distributed/launch");
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Returns the arguments of `tinybard train`. */
function trainArgs(options: object, ...flags: string[]): string[] {
  return [cli, "train", ...toArguments(options), ...flags];
}

for (const { name, command } of engines) {
  const path = join(folder, command);
  mkdirSync(path);
  writeFileSync(join(path, "mpirun"), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  const env = { PATH: [path, process.env.PATH].join(delimiter) };

  test(`${name}: --processes trains, and its exit code is that of rank 0`, async () => {
    const out = newFolder();
    const args = trainArgs({ ...tiny, out }, "--processes", "2", "--quiet");
    const { code, stdout, stderr } = await start(process.execPath, args, env).ended;
    assert.is(code, 0, stderr);
    assert.match(stdout, `processes: 2, connected by ${name}`);
    assert.match(stdout, /step 12: train loss/);
    const again = await start(process.execPath, args, env).ended;
    assert.is(again.code, 2);
    assert.is(
      again.stderr,
      `tinybard: out: ${out} holds a run already; --resume ${out} continues it\n`,
    );
  });

  test(`${name}: SIGINT saves a checkpoint, however long that takes`, async () => {
    const out = newFolder();
    const options = { ...tiny, out, maxIters: 100_000, evalInterval: 1000 };
    let isSent = false;
    const args = trainArgs(options, "--processes=2");
    const { child, ended } = start(process.execPath, args, env, (text) => {
      if (isSent || !text.includes("iter 20/")) return;
      isSent = true;
      child.kill("SIGINT");
    });
    const { code, stderr } = await ended;
    assert.is(code, 130, stderr);
    assert.match(
      stderr,
      /^\nSIGINT: saving a checkpoint.*\nstopped at step \d+, saved a checkpoint\nresume: /,
    );
  });

  test(`${name}: a second SIGINT ends ranks that wait for one that does not answer`, async () => {
    const options = { ...tiny, out: newFolder(), maxIters: 100_000, evalInterval: 1000 };
    const args = trainArgs(options, "--processes", "2", "--timeout", "60");
    let isSent = false;
    const { child, ended } = start(process.execPath, args, env, async (text) => {
      if (isSent || !text.includes("iter 20/")) return;
      isSent = true;
      process.kill(findRankPids(child.pid as number)[1], "SIGSTOP");
      await setTimeout(500);
      child.kill("SIGINT");
      await setTimeout(500);
      child.kill("SIGINT");
    });
    assert.is((await ended).code, 130); // not that of the timeout
  });
}

test("--gpus returns the exit code of the process that failed first", async () => {
  const program = fileURLToPath(new URL("../support/launch-program.js", import.meta.url));
  const { code, stderr } = await start(process.execPath, [program]).ended;
  assert.is(code, 3, stderr); // not that of rank 0, which was ended thereupon
});

test("--processes 1 starts no other process, and refuses what it cannot start", async () => {
  const expectUsageError = async (message: RegExp, flags: string[], env = {}) => {
    const out = newFolder();
    const { code, stderr } = await start(
      process.execPath,
      trainArgs({ ...tiny, out }, ...flags),
      env,
    ).ended;
    assert.is(code, 2, stderr);
    assert.match(stderr, message);
    assert.not(existsSync(out));
  };
  const noLauncher = { PATH: folder };
  await expectUsageError(
    /train: processes needs mpirun, which is not installed/,
    ["--processes", "2"],
    noLauncher,
  );
  await expectUsageError(
    /train: gpus is 2, but nvidia-smi lists 0/,
    ["--gpus", "2", "--device", "cuda"],
    noLauncher,
  );
  await expectUsageError(/train: gpus is 2, but device is cpu, expected cuda/, ["--gpus", "2"]);
  await expectUsageError(/processes and gpus exclude each other/, [
    "--gpus",
    "2",
    "--processes",
    "2",
  ]);
  await expectUsageError(/processes is 0, expected a whole number from 1/, ["--processes", "0"]);
  const args = trainArgs({ ...tiny, out: newFolder(), maxIters: 1 }, "--processes", "1", "--quiet");
  const { code, stdout } = await start(process.execPath, args, noLauncher).ended;
  assert.is(code, 0);
  assert.not.match(stdout, "processes:");
});

test.run();
