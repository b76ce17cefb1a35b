// Mutation testing: makes one small fault at a time in the compiled program or in the native
// kernels, and runs the tests, which must fail. A mutant that survives shows a rule that no test
// holds, unless it is equivalent to the original. The code is changed in place and restored, so run
// this in a clone of its own, after `npm test`.
//
// usage: node scripts/mutate.mjs [--count N] [--seed N] [--only LINE] [--stages N] FILE...
// FILE is a source: src/**.ts, native/cpu/*.cpp, or native/cuda/**.cu, which runs on the emulator.
// Mutates N places (default 10) per file, chosen by the seed. --only mutates every place of a line.
// Each mutant meets the tests of its file first, then those of its folder, then those of the
// library, then all; --stages 3 leaves out the last.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./compile.mjs";

/** Faults: what is replaced by what. Spaces around an operator keep generics and types intact. */
const operators = [
  [/ < /g, " <= "],
  [/ <= /g, " < "],
  [/ > /g, " >= "],
  [/ >= /g, " > "],
  [/ ===? /g, " != "],
  [/ !==? /g, " == "],
  [/ && /g, " || "],
  [/ \|\| /g, " && "],
  [/ \?\? /g, " && "],
  [/ \+ /g, " - "],
  [/ - /g, " + "],
  [/ \* /g, " / "],
  [/ \/ /g, " * "],
  [/ \+= /g, " -= "],
  [/ % /g, " * "],
  [/\bmin\(/g, "max("],
  [/\bmax\(/g, "min("],
  [/\btrue\b/g, "false"],
  [/\bfalse\b/g, "true"],
  [/if \((?=[^;]*$)/g, "if (!("],
  [/\b0\b(?![.x"'])/g, "1"],
  [/\b1\b(?![.x"'])/g, "2"],
  [/^(\s+)(?:await )?[\w.#>-]+\(.*\);$/g, "$1;"],
];

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    stages: { type: "string", default: "4" },
  },
});
const passed = new Set(); // stages that pass without a fault
const totals = { killed: 0, survived: 0, invalid: 0 };
for (const file of files) testFile(file);
console.log(`${totals.killed} killed, ${totals.survived} survived, ${totals.invalid} not compiled`);
process.exitCode = totals.survived > 0 ? 1 : 0;

/** Tests the mutants of one source file. */
function testFile(source) {
  const plan = makePlan(source);
  const failure = findFailure(plan, passed);
  if (failure) throw new Error(`${source}: ${failure} fails without a fault`);
  const path = join(root, plan.file);
  const original = readFileSync(path, "utf8");
  try {
    for (const mutant of choose(findMutants(original))) {
      writeFileSync(path, mutant.text);
      const result = testMutant(plan);
      totals[result.status]++;
      const place = `${plan.file}:${mutant.line}`;
      console.log(`${result.status.padEnd(8)}  ${place}  ${mutant.change}  (${result.by})`);
    }
  } finally {
    writeFileSync(path, original);
    plan.build?.();
  }
}

/** Returns the file to change, how to build it, and the tests to run, the closest ones first. */
function makePlan(source) {
  const family = basename(source).replace(/\.\w+$/, "");
  const kernelTests = [`ops/${family}`];
  const kernelSuites = ["ops/", "backend/", "optim/", "nn/", "gpt/"];
  if (source.startsWith("native/cpu/"))
    return {
      file: source,
      build: () => succeeds("make", ["-C", "build", "BUILDTYPE=Release", "-j2"]),
      device: "cpu",
      stages: [kernelTests, kernelSuites, ["test/"]],
    };
  if (source.startsWith("native/cuda/"))
    return {
      file: source,
      build: () => succeeds("cmake", ["--build", "build-emulator", "-j2"]),
      device: "cuda-emulator",
      stages: [kernelTests, kernelSuites],
    };
  const path = source.replace(/^src\//, "").replace(/\.ts$/, "");
  const library = ["test/autograd", "test/scope", "ops/", "nn/", "optim/", "gpt/", "train/train"];
  return {
    file: `dist/${path}.js`,
    device: path.startsWith("backend/ts/") ? "ts" : undefined,
    stages: [[`test/${path}`], [`test/${dirname(path)}/`], library, ["test/"]],
  };
}

/** Builds a mutant and runs the tests until one fails. */
function testMutant(plan) {
  if (plan.build && !plan.build()) return { status: "invalid", by: "compiler" };
  const failure = findFailure(plan);
  return failure ? { status: "killed", by: failure } : { status: "survived", by: "all tests pass" };
}

/** Returns the first test file that fails, or null. Leaves out, and adds to, `passed` stages. */
function findFailure({ device, stages }, passed = new Set()) {
  const flags = ["--bail", ...(device ? ["--device", device] : [])];
  for (const filters of stages.slice(0, Number(options.stages))) {
    const args = ["dist-test/run.js", ...flags, ...filters];
    const stage = args.join(" ");
    if (passed.has(stage)) continue;
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    const isEmpty = stdout.includes("no test file matches");
    if (status !== 0 && !isEmpty) return /^FAIL +(\S+)/m.exec(stdout)?.[1] ?? "the test runner";
    passed.add(stage);
  }
  return null;
}

function succeeds(command, args) {
  return spawnSync(command, args, { cwd: root }).status === 0;
}

/** Returns all mutants of a text; comments, imports and messages are left alone. */
function findMutants(text) {
  const lines = text.split("\n");
  const mutants = [];
  let isComment = false;
  for (const [i, line] of lines.entries()) {
    if (/^\s*\/\*/.test(line)) isComment = true;
    const isSkipped =
      isComment || /^\s*(\/\/|\*|import|export \{|#|template)|fail\(|throw/.test(line);
    if (/\*\//.test(line)) isComment = false;
    if (isSkipped || (options.only && Number(options.only) !== i + 1)) continue;
    const code = line.replace(/\s+\/\/.*$/, "");
    for (const [pattern, replacement] of operators) {
      for (const match of code.matchAll(pattern)) {
        if (isQuoted(code, match.index)) continue;
        const changed = mutateAt(code, match, pattern, replacement);
        if (!changed) continue;
        const change = `${code.trim()}  ->  ${changed.trim() || "(removed)"}`;
        mutants.push({ line: i + 1, change, text: lines.with(i, changed).join("\n") });
      }
    }
  }
  return mutants;
}

/** Replaces one match; returns null if that is not possible. */
function mutateAt(code, match, pattern, replacement) {
  const before = code.slice(0, match.index);
  const after = code.slice(match.index + match[0].length);
  const once = new RegExp(pattern.source);
  if (!replacement.endsWith("(!(")) return before + match[0].replace(once, replacement) + after;
  let depth = 1;
  for (const [i, character] of [...after].entries()) {
    if (character === "(") depth++;
    if (character === ")") depth--;
    if (depth === 0) return `${before}${replacement}${after.slice(0, i)})${after.slice(i)}`;
  }
  return null;
}

function isQuoted(code, index) {
  const quotes = code.slice(0, index).match(/["`]/g) ?? [];
  return quotes.length % 2 === 1;
}

/** Chooses `count` mutants by the seed. */
function choose(mutants) {
  if (options.only) return mutants;
  let state = Number(options.seed);
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 2 ** 31;
  };
  const rest = [...mutants];
  const chosen = [];
  while (chosen.length < Number(options.count) && rest.length > 0)
    chosen.push(...rest.splice(Math.floor(next() * rest.length), 1));
  return chosen;
}
