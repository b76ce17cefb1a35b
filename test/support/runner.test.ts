// Tests the test runner with everything that can go wrong in a test file: writes small test files
// to a temporary folder, and checks the last line of the runner's output and its exit code.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const folder = mkdtempSync(join(tmpdir(), "tinybard-runner-"));
const test = suite("runner");
test.after(() => rmSync(folder, { recursive: true, force: true }));

const PASSES = `test("passes", () => {});\n`;
const RUN = `test.run();\n`;

/** Writes a file in the folder. Code is preceded by the import of uvu and a suite. */
function write(path: string, code: string): void {
  const uvu = `import { suite } from ${JSON.stringify(import.meta.resolve("uvu"))};\n`;
  const source = code && `${uvu}const test = suite("inner");\n${code}`;
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), source);
}

/** Runs the test runner on the tests in folder/name/dist-test. */
function run(name: string, ...options: string[]) {
  const root = join(folder, name, "dist-test");
  const args = [join(import.meta.dirname, "../run.js"), "--root", root, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return { status, stdout, stderr, last: stdout.trimEnd().split("\n").at(-1) };
}

/** Tests that the runner, on one test file, exits with a status, a last line and a message. */
function testRunner(name: string, code: string, status: number, last: string, reason = ""): void {
  test(name, () => {
    write(`${name}/dist-test/sample.test.js`, code);
    const result = run(name);
    assert.is(result.last, last);
    assert.is(result.status, status);
    assert.match(result.stdout, reason);
  });
}

testRunner("a test passes", PASSES + RUN, 0, "1 passed, 0 failed, 0 skipped");
testRunner(
  "an assertion fails",
  `${PASSES}test("wrong", () => { throw new Error("one is not two"); });\n${RUN}`,
  1,
  "1 passed, 1 failed, 0 skipped",
  "one is not two",
);
testRunner(
  "before throws",
  `test.before(() => { throw new Error("setup failed"); });\n${PASSES}${PASSES}${RUN}`,
  1,
  "0 passed, 2 failed, 0 skipped",
  "setup failed",
);
testRunner(
  "before throws in a suite whose tests are all skipped",
  `test.before(() => { throw new Error("setup failed"); });\ntest.skip("later");\n${RUN}`,
  1,
  "0 passed, 1 failed, 1 skipped",
  "sample.test: before() threw",
);
testRunner(
  "after throws",
  `test.after(() => { throw new Error("teardown failed"); });\n${PASSES}${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "teardown failed",
);
testRunner(
  "after.each throws",
  `test.after.each(() => { throw new Error(); });\n${PASSES}${PASSES}${RUN}`,
  1,
  "0 passed, 2 failed, 0 skipped",
  "2 of 2 tests did not run: a hook threw",
);
testRunner("run() is forgotten", PASSES, 1, "0 passed, 1 failed, 0 skipped", "run() missing");
testRunner("the file is empty", "", 1, "0 passed, 1 failed, 0 skipped", "run() missing");
testRunner(
  "the file throws",
  `throw new Error("at import");\n`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "exit code 1",
);
testRunner(
  ".only is left in",
  `${PASSES}test.only("selected", () => {});\n${RUN}`,
  1,
  "1 passed, 1 failed, 1 skipped",
  ".only is left in: selected",
);
testRunner(
  "the process is killed",
  `test("crash", async () => {
    process.kill(process.pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 9999));
  });\n${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  process.platform === "win32" ? "sample.test: " : "killed by SIGKILL",
);
testRunner(
  "a promise never settles",
  `test("wait", () => new Promise(() => {}));\n${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "waits for a promise",
);
testRunner(
  "process.exit(0) in the middle of a test",
  `${PASSES}test("exits", () => process.exit(0));\n${RUN}`,
  1,
  "0 passed, 1 failed, 0 skipped",
  "exit code 0 before all tests had run",
);
testRunner(
  "the process fails after its tests have passed",
  `test("fails later", () => { setTimeout(() => { throw new Error(); }, 50); });\n${RUN}`,
  1,
  "1 passed, 1 failed, 0 skipped",
  "exit code 1",
);
testRunner(
  "a test is skipped",
  `${PASSES}test.skip("later");\ntest("say", () => console.log("skipped: no GPU"));\n${RUN}`,
  0,
  "2 passed, 0 failed, 1 skipped",
  "\nskipped: no GPU\n",
);
testRunner(
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

test("a compiled test without a source is ignored", () => {
  write("stale/dist-test/kept.test.js", PASSES + RUN);
  write("stale/dist-test/deleted.test.js", PASSES);
  // without sources, all compiled tests run
  assert.is(run("stale").last, "1 passed, 1 failed, 0 skipped");
  write("stale/test/kept.test.ts", "");
  assert.is(run("stale").last, "1 passed, 0 failed, 0 skipped");
});

test("--bail stops after a failure", () => {
  for (const name of ["a", "b", "c", "d", "e"]) write(`bail/dist-test/${name}.test.js`, PASSES);
  const result = run("bail", "--bail");
  assert.match(result.stdout, /--bail: [34] files did not run/);
  assert.match(result.last ?? "", /^0 passed, [12] failed, 0 skipped$/);
});

test("the test process gets the device, poisoned memory and gc()", () => {
  const code = `
    test("environment", () => {
      const { TINYBARD_TEST_DEVICE, TINYBARD_POISON } = process.env;
      const settings = [TINYBARD_TEST_DEVICE, TINYBARD_POISON, typeof gc].join();
      if (settings !== "ts,1,function") throw new Error(settings);
    });\n${RUN}`;
  write("device/dist-test/sample.test.js", code);
  assert.is(run("device", "--device", "ts").last, "1 passed, 0 failed, 0 skipped");
});

test("an unknown option is a usage error", () => {
  const { status, stderr } = run("several", "--divice", "ts");
  assert.is(status, 2);
  assert.match(stderr, "--divice");
});

test.run();
