import { devices } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { byDefinition, byRows, excerpt, lesson } from "#lessons/17-kernel.js";
import { told } from "./told.ts";

const test = suite("lesson 17");

test("both loops give the product", () => {
  const [a, b] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8)];
  for (const product of [byDefinition, byRows])
    assert.equal([...product(a, b, 2)], [19, 22, 43, 50]);
});

test("an excerpt is what stands in the file, with its line; what is not there is an error", () => {
  const [head, ...lines] = excerpt("native/cpu/tile.h", "constexpr int TILE_ROWS = 14;", "#else");
  assert.match(head, /^native\/cpu\/tile\.h:\d+$/);
  assert.is(lines[0], "  constexpr int TILE_ROWS = 14;");
  assert.throws(() => excerpt("native/cpu/tile.h", "no such line", "}"), /has no lines/);
});

test("all floors give the same product, and tiles and vectors make it faster", async () => {
  const { rates, errors, output } = await told(lesson);
  const available = new Set(devices().flatMap(({ name, available }) => (available ? name : [])));
  for (const [name, error] of Object.entries(errors)) assert.ok(error < 1e-3, `${name}: ${error}`);
  assert.is(errors["device ts"], 0); // the same additions in the same order, in doubles
  assert.ok(errors["along rows"] > 0);
  assert.ok(rates["device ts"] > 1.5 * rates["by definition"], `ts: ${rates["device ts"]}`);
  const cpu = rates["device cpu, 1 thread"];
  assert.is(cpu !== undefined, available.has("cpu"));
  if (cpu !== undefined) assert.ok(cpu > 2 * rates["device ts"], `cpu: ${cpu}`);
  if (!available.has("cuda")) assert.match(output, /not timed: .*CUDA/);
  for (const word of ["c00 += a0 * b0;", "fma(x, row[v], sums[r][v])", "__global__ void naive"])
    assert.ok(output.includes(word), word);
});

test.run();
