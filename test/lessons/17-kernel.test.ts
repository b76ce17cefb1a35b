import { devices } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { excerpt, lesson, naiveMatmul, rowOrderMatmul } from "#lessons/17-kernel.js";
import { runLesson } from "./run-lesson.ts";

const test = suite("lesson 17");

test("both loop orders compute the matrix product", () => {
  const a = Float32Array.of(1, 2, 3, 4);
  const b = Float32Array.of(5, 6, 7, 8);
  for (const matmul of [naiveMatmul, rowOrderMatmul])
    assert.equal([...matmul(a, b, 2)], [19, 22, 43, 50]);
});

test("an excerpt has the lines of the file and their number; a missing line is an error", () => {
  const [head, ...lines] = excerpt("native/cpu/tile.h", "struct Matrix {", "};");
  assert.match(head, /^native\/cpu\/tile\.h:\d+$/);
  assert.is(lines[0], "  struct Matrix {");
  assert.is(lines.at(-1), "  };");
  assert.throws(() => excerpt("native/cpu/tile.h", "no such line", "}"), /has no lines/);
});

test("all versions compute the same product, and tiles and vectors are faster", async () => {
  const { rates, errors, output } = await runLesson(lesson);
  const available = new Set(devices().flatMap(({ name, available }) => (available ? name : [])));
  for (const [name, error] of Object.entries(errors)) assert.ok(error < 1e-3, `${name}: ${error}`);
  assert.is(errors["device ts"], 0); // the same additions in the same order, in f64
  assert.ok(errors["row order"] > 0);
  assert.ok(rates["device ts"] > 1.5 * rates.naive, `ts: ${rates["device ts"]}`);
  const cpu = rates["device cpu, 1 thread"];
  assert.is(cpu !== undefined, available.has("cpu"));
  if (cpu !== undefined) assert.ok(cpu > 2 * rates["device ts"], `cpu: ${cpu}`);
  if (!available.has("cuda")) assert.match(output, /not measured: .*(CUDA|GPU)/);
  for (const line of [
    "c00 += a0 * b0;",
    "multiplyAdd(x, row[v], sums[r][v])",
    "__global__ void naive",
  ])
    assert.ok(output.includes(line), line);
});

test.run();
