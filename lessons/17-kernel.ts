// Lesson 17: A kernel, from TypeScript to SIMD to CUDA
//
// Nearly all the time of a GPT goes into one operation, c = a b for matrices: n^3 multiplications
// and as many additions for n x n. Every version below does exactly these; the slowest and the
// fastest differ by a factor of hundreds. What they differ in is how often they ask memory for a
// number. The rule to watch is: how many numbers are loaded for each multiply-add?

import { readFileSync } from "node:fs";
import { device, devices, manualSeed, matmul, randn, type Tensor } from "tinybard";
import { bars } from "./bars.ts";
import { show } from "./picture.ts";

/** c [n, n] = a b as the formula says: each c[i, j] is a row of a times a column of b. */
export function byDefinition(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const c = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j]; // b is read down a column
      c[i * n + j] = sum;
    }
  }
  return c;
}

/** The same with two loops exchanged: all three matrices are read along their rows. */
export function byRows(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const c = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      const x = a[i * n + k];
      for (let j = 0; j < n; j++) c[i * n + j] += x * b[k * n + j];
    }
  }
  return c;
}

/**
 * The lines of a source file of this project from the first that contains `from` to the next that
 * is `to`. The lesson shows the kernels as they are today.
 */
export function excerpt(file: string, from: string, to: string): string[] {
  const lines = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").split("\n");
  const first = lines.findIndex((line) => line.includes(from));
  const count = lines.slice(first).indexOf(to);
  if (first < 0 || count < 0) throw new Error(`${file} has no lines from "${from}" to "${to}"`);
  return [`${file}:${first + 1}`, ...lines.slice(first, first + count + 1).map((x) => `  ${x}`)];
}

/** The least seconds that each task took, over rounds in which all of them have their turn. */
function race(tasks: Map<string, () => unknown>, rounds = 3): Map<string, number> {
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, task] of tasks) {
      const start = performance.now();
      task();
      const seconds = (performance.now() - start) / 1000;
      best.set(name, Math.min(seconds, best.get(name) ?? Infinity));
    }
  }
  return best;
}

function print(lines: string[]): void {
  console.log(lines.join("\n"));
}

export async function lesson() {
  manualSeed(17);
  const n = 512;
  const here = [randn([n, n], { device: "ts" }), randn([n, n], { device: "ts" })] as const;
  const [a, b] = here.map((x) => x.data() as Float32Array);
  const flops = 2 * n ** 3;
  console.log(`c = a b, ${n} x ${n}: ${(flops / 1e6).toFixed(0)} million operations`);

  // Step 1. The definition. For each multiply-add two numbers are loaded, and those of b lie n
  // numbers apart: of each line of 64 bytes that memory hands over, 4 bytes are used.
  const tasks = new Map<string, () => unknown>();
  const answers = new Map<string, ArrayLike<number>>();
  tasks.set("by definition", () => byDefinition(a, b, n));
  answers.set("by definition", byDefinition(a, b, n));

  // Step 2. Two loops change places, and all is read along rows. But c, which was in a register, is
  // now loaded and stored for each multiply-add too: what one change wins, the other loses.
  tasks.set("along rows", () => byRows(a, b, n));
  answers.set("along rows", byRows(a, b, n));

  // Step 3. The kernel of the device `ts`. Sixteen elements of c are kept in variables, which is to
  // say in registers; eight loads then serve sixteen multiply-adds: half a load for each.
  console.log("\nTypeScript: a tile of 4 x 4 results stays in registers while k runs");
  print(excerpt("src/backend/ts/matmul.ts", "for (let k = 0; k < K; k++) {", "  }"));
  const floor = (name: "ts" | "cpu" | "cuda", label: string, before = () => {}) => {
    const operands = here.map((x) => x.to(name)) as [Tensor, Tensor];
    const product = () => {
      before();
      return matmul(...operands);
    };
    answers.set(label, product().data());
    // a GPU works on while the program goes on: only who asks for the result waits for it
    tasks.set(label, name === "cuda" ? () => product().data() : product);
  };
  floor("ts", "device ts");

  // Step 4. The same tile in C++, where one instruction multiplies and adds a vector of 8 or 16
  // numbers, and where the cores share the rows of c. The tile is as large as the registers allow.
  console.log("\nC++: the same loop; what it multiplies are vectors");
  print(excerpt("native/cpu/tile.h", "for (int64_t k = 0; k < K; k++) {", "  }"));
  const missing = new Map(devices().map((each) => [each.name as string, each.reason]));
  if (missing.get("cpu")) console.log(`not timed: ${missing.get("cpu")}`);
  else {
    const { addon } = device("cpu");
    if (!addon || !("threads" in addon)) throw new Error("the device cpu has no threads");
    const all = addon.threads();
    floor("cpu", "device cpu, 1 thread", () => addon.threads(1));
    if (all > 1) floor("cpu", `device cpu, ${all} threads`, () => addon.threads(all));
    console.log(`  (here: ${addon.simd})`);
  }

  // Step 5. On a GPU each element of c could have a thread of its own. That is the first program
  // of bench/ladder; seven more lead to tensor cores, each with what it wins and why.
  console.log("\nCUDA: the loop over i and j is gone, the thread's number takes its place");
  print(excerpt("bench/ladder/1-naive.cu", "__global__ void naive", "}"));
  console.log("and the tile again, 8 x 8 for a thread (bench/ladder/README.md has the whole way):");
  print(excerpt("bench/ladder/4-registers.cu", "float left[8], right[8];", "    }"));
  if (missing.get("cuda")) console.log(`not timed: ${missing.get("cuda")}`);
  else floor("cuda", "device cuda");

  // All in turn, so that a busy moment of the machine does not hit one alone.
  const seconds = race(tasks);
  const rates = mapped(seconds, (time) => flops / time / 1e9);
  const truth = answers.get("by definition") as ArrayLike<number>; // JavaScript adds in doubles
  const errors = mapped(answers, (answer) => farthest(answer, truth));
  console.log(`\n${"".padEnd(24)}GFLOP/s  times the first  largest difference`);
  for (const [name, rate] of Object.entries(rates)) {
    const times = (rate / rates["by definition"]).toFixed(1);
    const columns = [rate.toFixed(2).padStart(7), times.padStart(17)];
    console.log(
      `${name.padEnd(24)}${columns.join("")}${errors[name].toExponential(1).padStart(20)}`,
    );
  }
  show(bars(rates, { title: "GFLOP/s (logarithmic)", log: true }), "lesson-17");
  console.log(`Every floor does the same multiplications. What differs is rounding: JavaScript adds
in doubles and rounds at the end ("by definition", ts), the others round each sum to 24 bits.`);
  console.log(`
Exercises
1. Make n 1024. Which rates fall? (b has 4 MB then: what does a column of it do to the cache?)
2. TINYBARD_SIMD=scalar npm run lesson 17: the same C++ without vectors. What do they bring?
3. npm run bench matmul: the library at other sizes, beside what the processor could do.`);
  return { rates, errors };
}

function mapped<A>(map: Map<string, A>, f: (value: A) => number): Record<string, number> {
  return Object.fromEntries([...map].map(([name, value]) => [name, f(value)]));
}

/** The largest difference between two lists of numbers. */
function farthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
}
