// A process that killed-run.test.ts starts: it trains a small run, and kills itself when it calls a
// function that changes files for the K-th time. Without K, it prints the number of these calls.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { killSelf } from "./platform.js";

const [options, killAt] = process.argv.slice(2);
let calls = 0;
const kill = () => {
  calls++;
  if (killAt && calls === Number(killAt)) killSelf();
};
const { writeSync, renameSync, fsyncSync, rmSync, mkdirSync, ftruncateSync } = fs;
const write = (fd: number, data: Uint8Array, offset = 0, length = data.length - offset) => {
  // kills the process before the write, and after a part of it
  kill();
  const count = writeSync(fd, data, offset, length >> 1);
  kill();
  return count + writeSync(fd, data, offset + count, length - count);
};
const before =
  <F extends (...args: never[]) => unknown>(call: F) =>
  (...args: Parameters<F>) => {
    kill();
    return call(...args);
  };
Object.assign(fs, {
  writeSync: write,
  renameSync: before(renameSync),
  fsyncSync: before(fsyncSync),
  rmSync: before(rmSync as never),
  mkdirSync: before(mkdirSync as never),
  ftruncateSync: before(ftruncateSync),
});
syncBuiltinESMExports();

// time passes slowly, so that the plot, once a second, is drawn at the same steps in each process
let time = 0;
performance.now = () => {
  time += 0.01;
  return time;
};

const { train } = await import("tinybard");
await train(JSON.parse(options));
process.stdout.write(`${calls}\n`);
