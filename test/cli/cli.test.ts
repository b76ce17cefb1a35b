// The command-line program as a process: its arguments, its output and its exit codes.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lockFolder } from "#src/files/lock.js";
import { canInterrupt, interrupt, isWindows } from "../support/platform.js";

const test = suite("cli");
const folder = mkdtempSync(join(tmpdir(), "tinybard-cli-"));
test.after(() => rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
const device = process.env.TINYBARD_TEST_DEVICE ?? "ts";
const small = [
  "--data",
  data,
  "--device",
  device,
  "--n-layer",
  "1",
  "--n-embd",
  "8",
  "--n-head",
  "2",
  "--block-size",
  "8",
  "--batch-size",
  "4",
  "--eval-iters",
  "2",
];

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}

test("help works without the device and for an unknown preset", () => {
  for (const flags of [["--device", "cuda"], ["--preset", "nope"], ["--device=x"]]) {
    const { code, out } = run("train", ...flags, "--help");
    assert.is(code, 0, flags.join(" "));
    assert.match(out, /--max-iters/);
  }
});

test("without a preset: a line names the one that is used, and how long it trains", () => {
  for (const [option, count, length] of [
    ["--max-iters", "1", "1 iteration"],
    ["--max-iters", "2", "2 iterations"],
    ["--max-seconds", "1", "1 second"],
  ]) {
    const missing = join(folder, "missing.txt");
    const { out } = run("train", "--device", "ts", "--data", missing, option, count);
    assert.match(out, `preset: lecture-0.2m for ${length} (`);
  }
});

test("a run that another process trains is not resumed; before its first checkpoint this succeeds", () => {
  const out = join(folder, "busy");
  assert.is(run("train", ...small, "--max-iters", "1", "--out", out).code, 0);
  const lock = lockFolder(out);
  try {
    const refused = run("train", "--resume", out, "--max-iters", "2");
    assert.is(refused.code, 2);
    assert.match(refused.err, new RegExp(`in use by process ${process.pid}`));
    for (const name of ["best", "last", "metrics.jsonl"])
      rmSync(join(out, name), { recursive: true });
    const early = run("train", "--resume", out);
    assert.is(early.code, 0);
    assert.match(early.err, new RegExp(`busy: process ${process.pid} has just started this run`));
    assert.is(run("train", ...small, "--out", out).code, 2);
    // a lock of another machine may be an old one, which only the user can know
    const file = join(out, "lock.json");
    const owner = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...owner, host: "elsewhere" }));
    const remote = run("train", "--resume", out);
    assert.is(remote.code, 2);
    assert.match(remote.err, /in use by process \d+ on elsewhere; .* delete .*lock\.json/);
  } finally {
    lock.release();
  }
});

test("train, sample and eval: output lines, files, and reproducible samples", () => {
  const out = join(folder, "first");
  const trained = run(
    "train",
    ...small,
    "--max-iters",
    "20",
    "--eval-interval",
    "10",
    "--out",
    out,
  );
  assert.is(trained.code, 0, trained.err);
  assert.match(trained.out, new RegExp(`^device: ${device}`, "m"));
  for (const step of [0, 10, 20])
    assert.match(
      trained.out,
      new RegExp(`^step ${step}: train loss \\d\\.\\d{4}, val loss \\d\\.\\d{4}$`, "m"),
    );
  assert.match(trained.out, /^iter 10\/20: loss \d\.\d{4}, \d+ tokens\/s, \d+ s left$/m);
  assert.match(trained.out, /^trained 20 steps in \d+ s; lowest val loss \d\.\d{4} at step \d+/m);
  assert.match(trained.out, /^files in .*first: best\/ and last\/ .*loss\.svg$/m);
  assert.match(trained.out, /^try: npm run sample -- --run .*first$/m);
  assert.match(trained.out, /^train longer: npm run train -- --resume .*first --max-iters 40$/m);
  const weights = readFileSync(join(out, "last", "model.safetensors"));
  const finished = run("train", "--resume", out);
  assert.is(finished.code, 0);
  assert.match(
    finished.err,
    /^finished already: step 20 of 20; to train longer: npm run train -- /m,
  );
  assert.ok(readFileSync(join(out, "last", "model.safetensors")).equals(weights));
  assert.match(trained.out, /^0\.00\d{4} M parameters, model size 0\.0\d MB$/m);
  const sample = (...more: string[]) =>
    run("sample", "--run", out, "--tokens", "40", "--prompt", "To be", "--device", device, ...more);
  const text = sample("--seed", "5", "--temperature", "0.8", "--top-k", "5", "--top-p", "0.95");
  assert.is(text.code, 0, text.err);
  assert.ok(text.out.startsWith("To be") && text.out.length === 5 + 40 + 1, text.out);
  assert.is(
    sample("--seed", "5", "--temperature", "0.8", "--top-k", "5", "--top-p", "0.95").out,
    text.out,
  );
  assert.is.not(sample("--seed", "6").out, text.out);
  const two = sample("--seed", "5", "--num-samples", "2").out;
  const separate = [sample("--seed", "5").out, sample("--seed", "6").out];
  assert.is(two, separate.join("---------------\n"));
  const again = run("eval", "--run", out, "--iters", "3", "--device", device);
  assert.match(again.out, /^step \d+: train loss \d\.\d{4}, val loss \d\.\d{4}\n$/);
});

test("sample reads prompts from stdin: one of all lines, or with --interactive one a line", () => {
  const args = ["sample", "--run", join(folder, "first"), "--tokens", "8", "--device", device];
  const sample = (input: string, ...more: string[]) =>
    spawnSync(process.execPath, [program, ...args, ...more], { encoding: "utf8", input });
  const expected = run(...args, "--prompt", "To be,\nor not", "--seed", "3").out;
  assert.ok(expected.startsWith("To be,\nor not"), expected);
  assert.is(sample("To be,\nor not\n", "--prompt", "-", "--seed", "3").stdout, expected);

  const { status, stdout, stderr } = sample("To be\n\u00e9\n\nor not\n", "--interactive");
  assert.is(status, 0, stderr);
  const first = run(...args, "--prompt", "To be", "--seed", "1").out;
  const third = run(...args, "--prompt", "or not", "--seed", "3").out;
  assert.is(stdout, first + third);
  assert.match(stderr, /^tinybard: .*\u00e9.*$/m, "an unknown character ends only its own sample");
  const both = sample("", "--interactive", "--prompt", "a");
  assert.is(both.status, 2);
  assert.match(both.stderr, /--interactive reads prompts from stdin, so omit --prompt/);
});

test("--json prints the lines of metrics.jsonl and the figures, --quiet only evaluations", () => {
  const out = join(folder, "json");
  const { out: text } = run("train", ...small, "--max-iters", "3", "--json", "--out", out);
  const rows = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const figures = rows.pop();
  assert.equal(
    rows,
    readFileSync(join(out, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  );
  assert.equal([figures.steps, figures.stopped, figures.valLoss], [3, false, rows.at(-1).valLoss]);
  assert.equal(Object.keys(figures), [
    "trainLoss",
    "valLoss",
    "bestValLoss",
    "bitsPerCharacter",
    "bitsPerByte",
    "seconds",
    "steps",
    "tokens",
    "tokensPerSecond",
    "mfu",
    "peakMemory",
    "peakDeviceMemory",
    "stopped",
  ]);
  const quiet = run(
    "train",
    ...small,
    "--max-iters",
    "3",
    "--quiet",
    "--out",
    join(folder, "quiet"),
  );
  assert.not.match(quiet.out, /^iter/m);
  assert.match(quiet.out, /^step 3: /m);
  const { valLoss, tokens } = figures;
  for (const line of [
    `val loss: ${valLoss.toFixed(4)}`,
    `bits per character: ${(valLoss / Math.LN2).toFixed(4)}`,
    "training seconds: \\d+\\.\\d+",
    "steps: 3",
    `tokens: ${tokens}`,
    "tokens per second: \\d+",
    "MFU: \\d+\\.\\d %",
    "peak memory: \\d+ MB",
  ])
    assert.match(quiet.out, new RegExp(`^${line}$`, "m"));
});

test("--max-seconds replaces the steps of a preset; the run continues with its time", () => {
  const out = join(folder, "timed");
  const options = [...small.filter((x) => x !== "--max-iters"), "--schedule", "linear"];
  const timed = run("train", ...options, "--max-seconds", "0.3", "--out", out);
  assert.is(timed.code, 0, timed.err);
  assert.match(timed.out, /^training seconds: 0\.[1-9]/m);
  assert.match(timed.out, /train longer: .*--resume \S+ --max-seconds 0\.6$/m);
  const { step } = JSON.parse(readFileSync(join(out, "last", "state.json"), "utf8"));
  assert.match(timed.out, new RegExp(`^steps: ${step}$`, "m"));
  const finished = run("train", "--resume", out);
  assert.match(
    finished.err,
    new RegExp(`finished already: step ${step} of ${step}; to train longer`),
  );
  const again = join(folder, "timed-again");
  const config = join(out, "config.json");
  const repeated = run("train", "--config", config, "--max-iters", String(step), "--out", again);
  assert.is(repeated.code, 0, repeated.err);
  const weights = (run: string) => readFileSync(join(run, "last", "model.safetensors"));
  assert.ok(weights(again).equals(weights(out)));
  assert.match(run("runs", folder).out, new RegExp(`^timed .* ${step}/${step} .* finished$`, "m"));
});

test("defaults < preset < file < flags, and the run records the resolved options", () => {
  const file = join(folder, "options.json");
  writeFileSync(file, JSON.stringify({ learningRate: 0.5, batchSize: 3 }));
  const out = join(folder, "resolved");
  const { code, err } = run(
    "train",
    "--preset",
    "lecture-0.2m",
    "--config",
    file,
    "--batch-size",
    "2",
    "--no-bias",
    ...small.slice(0, 12),
    "--max-iters",
    "0",
    "--eval-iters",
    "1",
    "--out",
    out,
  );
  assert.is(code, 0, err);
  const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
  assert.is(config.learningRate, 0.5);
  assert.is(config.batchSize, 2);
  assert.is(config.activation, "relu");
  assert.is(config.bias, false);
  assert.is(config.evalInterval, 500);
  const again = run("train", "--config", join(out, "config.json"), "--out", join(folder, "again"));
  assert.is(again.code, 0, again.err);
});

test("without --run, the newest run is read; --checkpoint selects the checkpoint", () => {
  const cwd = join(folder, "newest");
  mkdirSync(cwd);
  const inFolder = (...args: string[]) =>
    spawnSync(process.execPath, [program, ...args], { encoding: "utf8", cwd });
  const none = inFolder("sample");
  assert.is(none.status, 2);
  assert.match(none.stderr, /sample: no run under runs\/; .*npm run train/);
  const options = [...small, "--max-iters", "3", "--json"];
  assert.is(inFolder("train", ...options, "--out", "runs/a").status, 0);
  assert.is(inFolder("train", ...options, "--out", "runs/b").status, 0);
  // a run that was stopped before its second evaluation
  const [best, last] = ["best", "last"].map((name) => join(cwd, "runs", "b", name, "state.json"));
  const state = JSON.parse(readFileSync(best, "utf8"));
  const weights = join(cwd, "runs", "b", "best", "model.safetensors");
  for (const [file, step] of [
    [best, 0],
    [last, 3],
  ] as const)
    writeFileSync(file, JSON.stringify({ ...state, step }));
  writeFileSync(
    weights,
    readFileSync(weights, "latin1").replace('"step":"3"', '"step":"0"'),
    "latin1",
  );
  const sample = inFolder("sample", "--tokens", "5", "--device", device);
  assert.is(sample.status, 0, sample.stderr);
  assert.is(sample.stdout.length, 6, "only the sample is on stdout");
  assert.match(sample.stderr, /^run: runs.b \(the newest under runs\/\)$/m);
  assert.match(sample.stderr, /^checkpoint: runs.b.last, step 3.* \(best\/ is from step 0/m);
  const chosen = inFolder("eval", "--checkpoint", "best", "--iters", "1", "--device", device);
  assert.match(chosen.stdout, /^step 0: train loss/, chosen.stderr);
  assert.match(chosen.stderr, /^checkpoint: runs.b.best, step 0/m);
  const runs = inFolder("runs");
  assert.is(runs.status, 0);
  assert.match(runs.stdout, /^run +model +step[\s\S]*^b +.* 3\/3 .*finished$[\s\S]*^a /m);
  const rows = inFolder("runs", "--json")
    .stdout.trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(
    rows.map(({ name, step, state }) => [name, step, state]),
    [
      ["b", 3, "finished"],
      ["a", 3, "finished"],
    ],
  );
  writeFileSync(join(cwd, "runs", "b", "config.json"), "{");
  const damaged = inFolder("runs");
  assert.is(damaged.status, 0);
  assert.match(damaged.stdout, /^b .*damaged$/m);
  assert.match(damaged.stderr, /^damaged: .*config\.json/m);
  assert.match(
    inFolder("sample", "--tokens", "1").stderr,
    /^passed over: .*config[\s\S]*^run: runs.a/m,
  );
});

test("wrong usage: one line with the nearest valid name, and exit code 2", () => {
  const cases: [string[], RegExp][] = [
    [["trian"], /unknown command trian; did you mean train\?/],
    [["train", "--max-itres", "3"], /unknown option --max-itres; did you mean --max-iters\?/],
    [["train", "--max-iters", "many"], /maxIters is "many", expected a whole number from 0 up/],
    [["train", "--max-iters"], /--max-iters needs a value/],
    [["train", "--preset", "gpt3"], /preset is "gpt3", expected .*did you mean gpt2\?/],
    [
      ["train", "--device", "gpu"],
      /device is "gpu", expected auto, cuda, cpu, wasm, ts, cuda-emulator/,
    ],
    [["train", "--lora-rank", "4", "--lora-alpha", "0"], /loraAlpha is 0, expected a number above/],
    [["train", "file.txt"], /train: unexpected argument file.txt; did you mean --data file.txt\?/],
    [["generate"], /unknown command generate; did you mean sample\?/],
    [["--max-iters", "3"], /--max-iters comes before the command/],
    [["train", "--lr", "1"], /unknown option --lr; did you mean --learning-rate\?/],
    [["train", "--config", "none.json"], /none.json: no such file/],
    [["train", "--config", "bad.json"], /bad.json: device is "gpu", expected auto/],
    [["train", "--config", "list.json"], /list.json: not a JSON object/],
    [["train", "--config", "text.txt"], /text.txt: not valid JSON/],
    [["sample"], /sample: no run under runs\/; train one \(npm run train\), or .* --run DIR/],
    [["import"], /import: DIR is required: folder of the model/],
    [["sample", "--run", "nowhere"], /nowhere is not a run/],
    [["sample", "--run", "nowhere", "--top-p", "2"], /topP is 2, expected a number/],
    [["train", "--resume", "nowhere"], /nowhere is not a run/],
  ];
  writeFileSync(join(folder, "bad.json"), '{ "device": "gpu" }');
  writeFileSync(join(folder, "list.json"), "[1]");
  for (const [args, message] of cases) {
    const { code, err, out } = run(...args);
    assert.match(err, message);
    assert.is(err.trim().split("\n").length, 1, err);
    assert.is(code, 2, `${args}: ${out}`);
  }
});

test("other failures: exit code 1", () => {
  const missing = run("train", "--data", join(folder, "none.txt"), "--device", device);
  assert.is(missing.code, 1);
  assert.match(missing.err, /cannot read .*none.txt/);
  const unknown = run("sample", "--run", join(folder, "first"), "--prompt", "\u00e9");
  assert.is(unknown.code, 1);
  assert.match(unknown.err, /encode: character "é" \(U\+00E9\) at position 0/);
});

test("--help lists all options, doctor all devices", () => {
  const { out, code } = run("train", "--help");
  assert.is(code, 0);
  for (const flag of [
    "preset",
    "data",
    "max-iters",
    "learning-rate",
    "lr-decay-iters",
    "resume",
    "json",
    "n-embd",
  ])
    assert.match(out, new RegExp(`^  --${flag} ?`, "m"));
  assert.ok(out.split("\n").every((line) => line.length <= 100));
  for (const args of [["--help"], ["-h"], ["help"]]) assert.match(run(...args).out, /^ {2}train/m);
  for (const args of [
    ["train", "-h"],
    ["help", "train"],
    ["train", "--data", "--help"],
  ])
    assert.is(run(...args).out, out, "the same text");
  const { version } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  for (const name of ["version", "--version", "-v"]) assert.is(run(name).out, `${version}\n`);
  assert.match(run("train", "--help", "--preset", "gpt2").out, /--n-layer N .*\(default: 12\)/);
  const forTs = run("train", "--help", "--device", "ts").out;
  assert.match(forTs, /defaults are those of lecture-0\.2m on ts/);
  assert.match(forTs, /--max-iters N .*\(default: 200\)/);
  assert.match(forTs, /--activation NAME .*\s+\(default:\s+relu\)/);
  const bench = run("bench", "--help");
  assert.is(bench.code, 0, bench.err);
  assert.match(bench.out, /bench/);
  assert.is(run("help", "trian").code, 2);
  const doctor = run("doctor");
  assert.is(doctor.code, 0);
  assert.match(doctor.out, /^ts +works: /m);
  assert.match(doctor.out, /^cuda +(missing|works)/m);
  assert.match(doctor.out, /^MPI: (\w.* \d+\.\d+.* \(lib.*\)|not found|.* needs|not supp)/m);
});

for (const [signal, code] of [
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGBREAK", 149], // Ctrl-Break on Windows
] as const) {
  if ((signal === "SIGBREAK" && !isWindows) || !canInterrupt(signal)) continue;
  test(`${signal}: saves, exits with ${code}, and the run can be resumed`, async () => {
    const out = join(folder, signal);
    const child = spawn(process.execPath, [
      program,
      "train",
      ...small,
      "--max-iters",
      "100000",
      "--out",
      out,
    ]);
    let text = "";
    let isSent = false;
    child.stdout.on("data", (chunk) => {
      text += chunk;
      if (/^iter 30\//m.test(text) && !isSent) isSent = interrupt(child, signal);
    });
    let err = "";
    child.stderr.on("data", (chunk) => (err += chunk));
    assert.is(await new Promise((resolve) => child.on("close", resolve)), code, err);
    assert.match(
      err,
      /stopped at step \d+, saved a checkpoint\nresume: npm run train -- --resume /,
    );
    assert.match(err, /^resume: npm run train -- --resume .*SIG/m);
    const { step } = JSON.parse(readFileSync(join(out, "last", "state.json"), "utf8"));
    assert.ok(step >= 30);
    const { code: second, out: resumed } = run(
      "train",
      "--resume",
      out,
      "--max-iters",
      String(step + 2),
    );
    assert.is(second, 0);
    assert.match(resumed, new RegExp(`^step ${step + 2}: `, "m"));
    assert.ok(existsSync(join(out, "loss.svg")));
  });
}

test.run();
