// The test runner against all that a test file can do wrong: small test files are written to a
// folder of their own, and the runner's last line and exit code must tell the truth about them.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const folder = mkdtempSync(join(tmpdir(), "tinybard-runner-"));
const test = suite("runner");
test.after(() => rmSync(folder, { recursive: true, force: true }));

const PASSES = `test("fine", () => {});\n`;
const RUN = `test.run();\n`;

/** Writes a file below the folder; a test file gets uvu, from wherever it is installed. */
function write(path: string, code: string): void {
  const uvu = `import { suite } from ${JSON.stringify(import.meta.resolve("uvu"))};\n`;
  const whole = code && `${uvu}const test = suite("inner");\n${code}`;
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), whole);
}

/** Runs the runner on the tests in folder/name/dist-test. */
function run(name: string, ...options: string[]) {
  const root = join(folder, name, "dist-test");
  const args = [join(import.meta.dirname, "../run.js"), "--root", root, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return { status, stdout, stderr, last: stdout.trimEnd().split("\n").at(-1) };
}

/** One test file with this code must make the runner end like this, and say `reason` on the way. */
function expect(name: string, code: string, status: number, last: string, reason = ""): void {
  test(name, () => {
    write(`${name}/dist-test/sample.test.js`, code);
    const result = run(name);
    assert.is(result.last, last);
    assert.is(result.status, status);
    assert.match(result.stdout, reason);
  });
}

expect("a test passes", PASSES + RUN, 0, "1 passed, 0 failed, 0 skipped");
expect(
  "an assertion fails",
  `${PASSES}test("wrong", () => { throw new Error("one is not two"); });\n${RUN}`,
  1,
  "1 passed, 1 failed, 0 skipped",
  "one is not two",
);
expect(
  "before throws",
  `test.before(() => { throw new Error("no ground"); });\n${PASSES}${PASSES}${RUN}`,
  1,
  "0 passed, 2 failed, 0 skipped",
  "no ground",
);
expect(
  "before throws in a suite whose tests are all skipped",
  `test.before(() => { throw new Error("no ground"); });\ntest.skip("later");\n${RUN}`,
  1,
  "0 passed, 1 failed, 1 skipped",
  "sample.test: before() threw",
);
expect(
  "after throws",
  `test.after(() => { throw new Error("no end"); });\n${PASSES}${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "no end",
);
expect(
  "after.each throws",
  `test.after.each(() => { throw new Error(); });\n${PASSES}${PASSES}${RUN}`,
  1,
  "0 passed, 2 failed, 0 skipped",
  "2 of 2 tests did not run: a hook threw",
);
expect("run() is forgotten", PASSES, 1, "0 passed, 1 failed, 0 skipped", "run() missing");
expect("the file is empty", "", 1, "0 passed, 1 failed, 0 skipped", "run() missing");
expect(
  "the file throws",
  `throw new Error("early");\n`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "exit code 1",
);
expect(
  ".only is left in",
  `${PASSES}test.only("mine", () => {});\n${RUN}`,
  1,
  "1 passed, 1 failed, 1 skipped",
  ".only is left in: mine",
);
expect(
  "the process is killed",
  `test("crash", async () => {
    process.kill(process.pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 9999));
  });\n${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  process.platform === "win32" ? "sample.test: " : "killed by SIGKILL",
);
expect(
  "a promise never settles",
  `test("wait", () => new Promise(() => {}));\n${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "waits for a promise",
);
expect(
  "process.exit(0) in the middle of a test",
  `${PASSES}test("leave", () => process.exit(0));\n${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "exit code 0 before all tests had run",
);
expect(
  "the process fails after its tests have passed",
  `test("late", () => { setTimeout(() => { throw new Error(); }, 50); });\n${RUN}`,
  1,
  "1 passed, 1 failed, 0 skipped",
  "exit code 1",
);
expect(
  "a test is skipped",
  `${PASSES}test.skip("later");\ntest("say", () => console.log("skipped: no GPU"));\n${RUN}`,
  0,
  "2 passed, 0 failed, 1 skipped",
  "\nskipped: no GPU\n",
);
expect(
  "all tests are skipped",
  `test.skip("later");\n${RUN}`,
  1,
  "0 passed, 0 failed, 1 skipped",
  "no test has passed",
);

test("a promise never settles, and a timer keeps the process alive", () => {
  const code = `test("wait", () => new Promise(() => setInterval(() => {}, 1000)));\n${RUN}`;
  write("late/dist-test/sample.test.js", code);
  const result = run("late", "--timeout", "1");
  assert.is(result.last, "0 passed, 1 failed, 0 skipped");
  assert.is(result.status, 1);
  assert.match(result.stdout, "sample.test: still running after 1 s");
});

test("several files, filtered", () => {
  for (const path of ["a.test.js", "ops/b.test.js", "ops/c.test.js"]) {
    write(`several/dist-test/${path}`, PASSES + RUN);
  }
  write("several/dist-test/fixtures/d.test.js", "not JavaScript");
  assert.is(run("several").last, "3 passed, 0 failed, 0 skipped");
  assert.is(run("several", "test/ops/").last, "2 passed, 0 failed, 0 skipped");
  assert.is(run("several", "./test/ops/b.test.ts", "a.test").last, "2 passed, 0 failed, 0 skipped");

  const nothing = run("several", "nowhere");
  assert.is(nothing.last, "0 passed, 1 failed, 0 skipped");
  assert.is(nothing.status, 1);
  assert.match(nothing.stdout, "no test file matches nowhere");
});

test("a compiled test without its source is passed over", () => {
  write("stale/dist-test/kept.test.js", PASSES + RUN);
  write("stale/dist-test/deleted.test.js", PASSES);
  assert.is(run("stale").last, "1 passed, 1 failed, 0 skipped"); // compiled tests are all there is
  write("stale/test/kept.test.ts", "");
  assert.is(run("stale").last, "1 passed, 0 failed, 0 skipped");
});

test("--bail stops after a failure", () => {
  for (const name of ["a", "b", "c", "d", "e"]) write(`bail/dist-test/${name}.test.js`, PASSES);
  const result = run("bail", "--bail");
  assert.match(result.stdout, /--bail: [34] files did not run/);
  assert.match(result.last ?? "", /^0 passed, [12] failed, 0 skipped$/);
});

test("the test process gets the device, a pool that poisons, and a collector to call", () => {
  const code = `
    test("environment", () => {
      const { TINYBARD_TEST_DEVICE, TINYBARD_POISON } = process.env;
      const seen = [TINYBARD_TEST_DEVICE, TINYBARD_POISON, typeof gc].join();
      if (seen !== "ts,1,function") throw new Error(seen);
    });\n${RUN}`;
  write("device/dist-test/sample.test.js", code);
  assert.is(run("device", "--device", "ts").last, "1 passed, 0 failed, 0 skipped");
});

test("an unknown option is wrong usage", () => {
  const { status, stderr } = run("several", "--divice", "ts");
  assert.is(status, 2);
  assert.match(stderr, "--divice");
});

test.run();
