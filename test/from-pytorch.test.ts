// Holds the tables of docs/from-pytorch.md to the exports: every name of ours in them exists, and
// every op, layer and optimizer is in them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as tinybard from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { root } from "./support/documents.ts";

const test = suite("docs/from-pytorch.md");
const { nn, optim, Tensor } = tinybard;
const text = readFileSync(join(root, "docs/from-pytorch.md"), "utf8");
const rows = [...text.matchAll(/^\| (.*) \| (.*) \|(.*)\|$/gm)]
  .map(([, theirs, ours]) => ({ theirs, ours }))
  .filter(({ theirs }) => theirs.startsWith("`"));
const codes = rows.flatMap(({ ours }) => [...ours.matchAll(/`([^`]+)`/g)].map(([, code]) => code));

/** Returns true if the names that begin a code exist: "nn.ReLU", "x.sum(0)", "sum(x, 0)". */
function isDefined(code: string): boolean {
  const [path] = /^[\w.]+/.exec(code) ?? [""];
  const [first, ...fields] = path.split(".");
  const starts: Record<string, unknown> = {
    ...tinybard,
    x: tinybard.zeros([1]),
    model: new nn.Sequential(),
    optimizer: new optim.SGD([tinybard.zeros([1], { requiresGrad: true })]),
  };
  if (path.startsWith("nn.Module.")) return fields[1] in nn.Module.prototype;
  let value = starts[first];
  for (const field of fields) {
    if (!(field in (value as object))) return false;
    value = (value as Record<string, unknown>)[field];
  }
  return first in starts;
}

test("every name of ours exists", () => {
  assert.ok(rows.length > 80, `${rows.length} rows`);
  for (const code of codes) assert.ok(isDefined(code), `${code} does not exist`);
});

test("every name of PyTorch has a name of ours, or a reason", () => {
  for (const line of text.matchAll(/^\| `.*$/gm)) {
    const [, , ours, note] = line[0].split(/(?<!\\)\|/).map((cell) => cell.trim());
    assert.ok(ours.startsWith("`") || (ours === "no" && note), line[0]);
  }
});

test("every op, layer and optimizer is in a table", () => {
  const inTables = new Set(codes.flatMap((code) => code.match(/[A-Za-z]\w*/g) ?? []));
  // what PyTorch has no counterpart of
  const own =
    "relu2 softcap selfAttention crossEntropy layerNorm linear mlp swiglu rotary qkNorm toArray";
  const layers =
    "LoRALinear MLP QuantizedEmbedding QuantizedLinear ResidualStream TokenShift CombinedOptimizer";
  const skipped = new Set(`${own} ${layers}`.split(" "));
  const isClass = (name: string) => /^[A-Z]/.test(name);
  const methods = Object.keys(Object.getOwnPropertyDescriptors(Tensor.prototype)).filter(
    (name) => name in tinybard,
  );
  const names = [...methods, ...Object.keys(nn), ...Object.keys(optim), ...Object.keys(nn.init)];
  for (const name of names) {
    const isCovered = isClass(name) || name in tinybard || name in nn.init;
    if (isCovered) assert.ok(inTables.has(name) || skipped.has(name), `${name} is in no table`);
  }
});

test.run();
