// Command-line arguments: values, wrong names of options, and options that npm has kept for itself.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseArguments } from "#src/cli/args.js";
import { formatHelp } from "#src/cli/help.js";
import { checkNpmOptions } from "#src/cli/npm.js";
import { UsageError } from "#src/errors.js";
import { checkValues, type OptionTable } from "#src/options.js";
import { trainOptions } from "#src/train/config.js";

const test = suite("args");
const folder = mkdtempSync(join(tmpdir(), "tinybard-args-"));
test.after(() => rmSync(folder, { recursive: true }));
const table: OptionTable = {
  ...trainOptions,
  prompt: { type: "string", help: "text" },
  topP: { type: "number", help: "probability", min: 0 },
};

const parse = (...args: string[]) => parseArguments("train", table, args);

/** Returns the message of the UsageError that a function throws. */
function errorOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    assert.instance(error, UsageError);
    return (error as Error).message;
  }
  assert.unreachable("no error");
  return "";
}

test("values after a space or an equals sign, switches, and the last of several", () => {
  assert.equal(parse("--max-iters", "3", "--seed=1e3"), { maxIters: 3, seed: 1000 });
  assert.equal(parse("--top-p", ".5"), { topP: 0.5 });
  assert.equal(parse("--seed", "1", "--seed", "2"), { seed: 2 });
  assert.equal(parse("--bias", "--no-tie-weights"), { bias: true, tieWeights: false });
  assert.equal(parse("--bias=false", "--qkv-bias", "True"), { bias: false, qkvBias: true });
  assert.equal(parse("--prompt=--x=y", "--out", "a=b"), { prompt: "--x=y", out: "a=b" });
  assert.equal(parse("--prompt", "-1 + 2"), { prompt: "-1 + 2" });
  assert.equal(parse("--", "--seed", "1"), { seed: 1 }, "pnpm and yarn pass -- on");
  assert.equal(parseArguments("import", { from: { type: "string", help: "" } }, ["x"], "from"), {
    from: "x",
  });
});

test("missing and invalid values", () => {
  for (const [args, message] of [
    [["--out", ""], /--out needs a value: output folder/],
    [["--out="], /--out needs a value/],
    [["--out"], /--out needs a value/],
    [["--max-iters", "--seed", "1"], /--max-iters needs a value/],
    [["--seed", "-1"], /seed is -1, expected a whole number from 0 up/],
    [["--seed", "1.5"], /seed is 1.5/],
    [["--seed", "NaN"], /seed is "NaN"/],
    [["--seed", "Infinity"], /seed is (null|Infinity)/],
    [["--bias=1"], /--bias is 1, expected no value, true or false/],
    [["--no-bias=true"], /--no-bias takes no value; write --bias or --no-bias/],
    [["--no-dropout"], /--no-dropout does not exist: --dropout takes a value/],
    [["--no-nothing"], /unknown option --no-nothing/],
  ] as const) {
    assert.match(
      errorOf(() => parse(...args)),
      message,
    );
  }
});

test("operands: the message names the option that was probably meant", () => {
  const run = join(folder, "run");
  const text = join(folder, "text.txt");
  mkdirSync(run);
  writeFileSync(join(run, "config.json"), "{}");
  writeFileSync(text, "");
  const { prompt: _, ...train } = table;
  const sample: OptionTable = {
    run: { type: "string", help: "" },
    prompt: { type: "string", help: "" },
  };
  assert.ok(errorOf(() => parse(text)).endsWith(`did you mean --data ${text}?`));
  assert.ok(errorOf(() => parseArguments("sample", sample, [run])).endsWith(`--run ${run}?`));
  assert.match(
    errorOf(() => parseArguments("sample", sample, ["To be"])),
    /did you mean --prompt "To be"\?$/,
  );
  assert.match(
    errorOf(() => parseArguments("train", train, ["none.txt"])),
    /--data none.txt\?$/,
  );
  assert.match(
    errorOf(() => parse("2")),
    /unexpected argument 2; options begin with --$/,
  );
});

test("names of other programs and spellings: the message has the option of this program", () => {
  for (const [name, expected] of Object.entries({
    "--lr": "--learning-rate",
    "--steps": "--max-iters",
    "--iters": "--max-iters",
    "--max_iters": "--max-iters",
    "--maxIters": "--max-iters",
    "-max-iters": "--max-iters",
    "-lr": "--learning-rate",
    "--max-itres": "--max-iters",
    "--batch_size": "--batch-size",
    "--batch-size ": "--batch-size",
    "--bs": "--batch-size",
    "--n_layer": "--n-layer",
    "--n_embd": "--n-embd",
    "--N-LAYER": "--n-layer",
    "--gradient_accumulation_steps": "--grad-accum",
    "--out_dir": "--out",
    "--dataset": "--data",
    "--max_new_tokens": undefined, // not an option of train
    "--gpu": "--device cuda",
    "--bf16": "--dtype bf16",
    "--eval": "--eval-interval or --eval-iters",
    "--learning": "--learning-rate",
    "--zzz": undefined,
    "--constructor": undefined,
  })) {
    const message = errorOf(() => parse(name, "3"));
    const hint = /; did you mean (.*)\?$/.exec(message)?.[1];
    assert.is(hint, expected, message);
  }
  assert.match(
    errorOf(() => parse("--epochs", "3")),
    /--max-iters N; one epoch is/,
  );
  assert.match(
    errorOf(() => checkValues(trainOptions, { max_iters: 3 }, "options.json")),
    /options.json: unknown option max_iters; did you mean maxIters\?/,
  );
  assert.match(
    errorOf(() => checkValues(trainOptions, { lr: 3 }, "f")),
    /did you mean learningRate\?/,
  );
});

test("values of other programs", () => {
  for (const [option, value, expected] of [
    ["device", "gpu", "cuda"],
    ["device", "GPU", "cuda"],
    ["device", "typescript", "ts"],
    ["dtype", "float32", "f32"],
    ["dtype", "bfloat16", "bf16"],
    ["positions", "rope", "rotary"],
    ["tokenizer", "character", "char"],
    ["preset", "gpt-2", "gpt2"],
  ])
    assert.ok(
      errorOf(() => parse(`--${option}`, value)).endsWith(`(did you mean ${expected}?)`),
      value,
    );
});

test("options that npm has kept are an error with the right command line", () => {
  const npm = {
    npm_lifecycle_script: "npm run -s build && node dist/cli/index.js train",
    npm_lifecycle_event: "train",
    npm_command: "run",
    npm_config_user_agent: "npm/11",
    npm_config_prefix: "/usr",
    npm_config_json: "true",
    npm_config_cpu: "arm64",
    npm_config_yes: "true",
  };
  const check = (env: Record<string, string>, ...args: string[]) =>
    errorOf(() => checkNpmOptions("train", table, args, { ...npm, ...env }, "linux"));
  checkNpmOptions("train", table, [], npm);
  for (const [env, args, expected] of [
    [{ npm_config_max_iters: "2" }, [], "npm run train -- --max-iters 2"],
    [{ npm_config_max_iters: "true" }, ["2"], "npm run train -- --max-iters 2"],
    [{ npm_config_bias: "" }, [], "npm run train -- --no-bias"],
    [{ npm_config_tie_weights: "true" }, [], "npm run train -- --tie-weights"],
    [{ npm_config_lr: "0.1" }, ["--seed", "1"], "npm run train -- --seed 1 --lr 0.1"],
    [
      { npm_config_max_iters: "true", npm_config_seed: "true" },
      ["2", "3"],
      "npm run train -- --max-iters VALUE --seed VALUE",
    ],
  ] as const)
    assert.ok(check(env, ...args).endsWith(`write: ${expected}`), check(env, ...args));
  assert.throws(
    () => checkNpmOptions("train", table, [], { ...npm, npm_config_seed: "1" }, "win32"),
    /write: npm run train "--" --seed 1$/,
  );
  // through npx, and through a script of the user's project
  assert.match(
    check({
      npm_command: "exec",
      npm_lifecycle_script: '"tinybard" "train"',
      npm_config_seed: "1",
    }),
    /npx tinybard train --seed 1$/,
  );
  assert.match(
    check({
      npm_lifecycle_script: "tinybard train",
      npm_lifecycle_event: "x",
      npm_config_seed: "1",
    }),
    /npm run x -- --seed 1$/,
  );
  // below another script, whose options are not those of this program
  checkNpmOptions("train", table, [], {
    ...npm,
    npm_lifecycle_script: "node dist-test/run.js",
    npm_config_device: "cuda",
  });
});

test("help shows computed defaults instead of those in the table and in the text", () => {
  const options: OptionTable = {
    size: { type: "integer", help: "size (default: as before)", value: "N" },
    fast: { type: "boolean", help: "fast", default: false },
  };
  const text = formatHelp("usage", options, { size: 7, fast: true });
  assert.match(text, /^ {2}--size N {2}size \(default: 7\)$/m);
  assert.match(text, /^ {2}--fast {4}fast \(default: true; --no-fast turns it off\)$/m);
  assert.match(formatHelp("usage", options), /size \(default: as before\)$/m);
});

test.run();
