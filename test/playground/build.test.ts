// The build of the playground's folder, which replaces an earlier one and nothing else.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("playground/build");
const script = fileURLToPath(new URL("../../scripts/playground.mjs", import.meta.url));

test("a folder with other files is not replaced", () => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-build-"));
  writeFileSync(join(folder, "index.html"), "of an earlier build");
  writeFileSync(join(folder, "thesis.txt"), "of the user");
  for (const out of [folder, folder + sep]) {
    const args = [script, "--build-only", "--out", out];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.is(status, 1);
    const expected = "contains thesis.txt, expected no folder or an earlier build";
    assert.is(stderr, `playground: ${folder}: ${expected}\n`);
    assert.equal(readdirSync(folder).sort(), ["index.html", "thesis.txt"]);
  }
  rmSync(folder, { recursive: true });
});

test.run();
