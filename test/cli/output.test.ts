// Outputs that fail while a command runs: the reader of a pipe ends, or a disk is full.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { canTest, isWindows } from "../support/platform.js";

const test = suite("cli/output");
const folder = mkdtempSync(join(tmpdir(), "tinybard-output-"));
test.after(() => rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
const device = process.env.TINYBARD_TEST_DEVICE ?? "ts";
const sizes = "--n-layer 1 --n-embd 8 --n-head 2 --block-size 8 --batch-size 4 --eval-iters 1";
const endless = ["--max-iters", "1000000", "--eval-interval", "1000000"];

function train(out: string, ...args: string[]): string[] {
  return ["train", "--data", data, "--device", device, ...sizes.split(" "), "--out", out, ...args];
}

/** Closes stdout, and stderr too if requested, as soon as a pattern has been printed. */
function closeAfter(child: ChildProcess, pattern: RegExp, closesStderr = false): void {
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += chunk;
    if (!pattern.test(text)) return;
    child.stdout?.destroy();
    if (closesStderr) child.stderr?.destroy();
  });
}

/** Runs the program; resolves to its exit code and what it printed on stderr. */
function run(
  args: string[],
  { stdout = "pipe" as "pipe" | number, start = (_: ChildProcess) => {} } = {},
): Promise<{ code: number | null; err: string }> {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", stdout, "pipe"],
    cwd: folder,
  });
  let err = "";
  child.stderr?.on("data", (chunk) => (err += chunk));
  child.stdout?.resume();
  start(child);
  return new Promise((resolve) => child.on("exit", (code) => resolve({ code, err })));
}

function readStep(out: string): number {
  return JSON.parse(readFileSync(join(folder, out, "last", "state.json"), "utf8")).step;
}

test("training saves and ends with code 141 when its output is closed", async () => {
  for (const [out, pattern, options, closesStderr] of [
    ["text", /^iter 20\//m, [], false],
    ["json", /"step":20,/, ["--json"], false],
    ["both", /^iter 20\//m, [], true],
  ] as const) {
    const { code, err } = await run(train(out, ...endless, ...options), {
      start: (child) => closeAfter(child, pattern, closesStderr),
    });
    assert.is(code, 141, err);
    assert.ok(readStep(out) >= 20, `${readStep(out)}`);
    if (closesStderr) continue;
    assert.match(err, /^stdout was closed: saving a checkpoint$/m);
    assert.match(err, /^stopped at step \d+, saved a checkpoint/m);
  }
});

test("an output that is closed from the beginning ends training as well", async () => {
  const { code, err } = await run(train("early", ...endless), {
    start: (child) => child.stdout?.destroy(),
  });
  assert.is(code, 141, err);
  assert.ok(existsSync(join(folder, "early", "last", "state.json")));
});

test("Ctrl-C that ends the reader first still saves", async () => {
  const reason = "on Windows, the program that sends it starts too late";
  if (!canTest(!isWindows, "Ctrl-C after stdout was closed", reason)) return;
  let isSent = false;
  const { code, err } = await run(train("pipeline", ...endless), {
    start: (child) => {
      closeAfter(child, /^iter 20\//m);
      child.stderr?.on("data", (chunk) => {
        if (/stdout was closed/.test(chunk) && !isSent) isSent = child.kill("SIGINT");
      });
    },
  });
  assert.is(code, 141, err);
  assert.ok(readStep("pipeline") >= 20);
});

test("a stderr that is closed does not end training", async () => {
  const { code } = await run(train("stderr", "--max-iters", "5"), {
    start: (child) => child.stderr?.destroy(),
  });
  assert.is(code, 0);
  assert.is(readStep("stderr"), 5);
});

test("sample ends quietly; a command whose result is a file completes it", async () => {
  const sampled = await run(["sample", "--run", "stderr", "--tokens", "100000"], {
    start: (child) => closeAfter(child, /./),
  });
  assert.is(sampled.code, 0);
  assert.not.match(sampled.err, /EPIPE|\n\s+at /);
  const exported = await run(["export", "--run", "stderr", "--csv", "a.csv"], {
    start: (child) => child.stdout?.destroy(),
  });
  assert.is(exported.code, 0, exported.err);
  assert.match(readFileSync(join(folder, "a.csv"), "utf8"), /^step,.*\r\n0,.*\r\n5,.*\r\n$/);
  const quantized = await run(["quantize", "--run", "stderr", "--out", "quantized"], {
    start: (child) => child.stdout?.destroy(),
  });
  assert.is(quantized.code, 0, quantized.err);
  assert.ok(existsSync(join(folder, "quantized", "config.json")));
});

if (existsSync("/dev/full")) {
  test("an output on a full disk: training goes on, other commands fail", async () => {
    const trained = await run(train("full", "--max-iters", "5"), {
      stdout: openSync("/dev/full", "w"),
    });
    assert.is(trained.code, 0, trained.err);
    assert.match(trained.err, /^warning: cannot write to stdout: ENOSPC/m);
    assert.is(readStep("full"), 5);
    const sampled = await run(["sample", "--run", "stderr"], {
      stdout: openSync("/dev/full", "w"),
    });
    assert.is(sampled.code, 1);
    assert.match(sampled.err, /^tinybard: cannot write to stdout: ENOSPC/m);
  });
}

test("a run that diverges ends with code 1, also with --json and at its end", async () => {
  for (const options of [[], ["--json"]]) {
    const out = `diverged${options.length}`;
    const { code, err } = await run(
      train(out, "--learning-rate", "1e30", "--grad-clip", "0", "--max-iters", "2", ...options),
    );
    assert.is(code, 1);
    assert.match(err, /^tinybard: step \d: .* the first tensor that is not finite is /m);
    assert.is(readStep(out), 0);
  }
});

test.run();
