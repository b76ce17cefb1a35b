// Tests of loading the training text.

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { listTextNames, loadCorpus } from "#src/data/corpus.js";

const test = suite("data/corpus");
const folder = mkdtempSync(join(tmpdir(), "tinybard-text-"));
test.after(() => rmSync(folder, { recursive: true }));

test("a text is read from a file or from TINYBARD_DATA, and must be UTF-8", async () => {
  const file = join(folder, "a.txt");
  writeFileSync(file, "To be, or not — ever");
  const corpus = { name: file, source: file, text: "To be, or not — ever" };
  assert.equal(await loadCorpus(file), corpus);
  const before = process.env.TINYBARD_DATA;
  process.env.TINYBARD_DATA = file;
  assert.is((await loadCorpus()).text, "To be, or not — ever");
  if (before === undefined) delete process.env.TINYBARD_DATA;
  else process.env.TINYBARD_DATA = before;
  writeFileSync(join(folder, "b.txt"), Uint8Array.of(0x80, 0xff));
  for (const [name, message] of [
    ["b.txt", /b.txt: not text in UTF-8: the byte at offset 0 is invalid/],
    ["none.txt", /no such file; choose a text with --data FILE/],
  ] as const) {
    const outcome = await loadCorpus(join(folder, name)).catch((error) => error.message);
    assert.match(outcome, message);
  }
});

test("a wrong name: the message lists the texts that exist here, and the nearest", async () => {
  const outcome = await loadCorpus("shakespear").catch((error) => error.message);
  assert.match(
    outcome,
    /no such file; did you mean shakespeare\? Or choose a text with --data FILE/,
  );
  for (const name of ["shakespeare", "moby-dick"])
    assert.is(outcome.includes(`--data ${name}`), listTextNames().includes(name));
});

test("Moby-Dick is read from its package, with ASCII quotes", async () => {
  const corpus = await loadCorpus("moby-dick").catch((error) => error as Error);
  if (corpus instanceof Error) {
    console.log(`skipped: Moby-Dick: ${corpus.message}`);
    return;
  }
  assert.is(createHash("sha256").update(corpus.text).digest("hex").length, 64);
  assert.is(corpus.text.length, 1_191_933);
  assert.is(new Set(corpus.text).size, 80);
  assert.ok(corpus.text.startsWith("CHAPTER 1. Loomings.\n\nCall me Ishmael."));
});

test.run();
