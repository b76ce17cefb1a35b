// Executes the code in the documents, and checks that their links lead to existing files.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { documents, executedDocuments, getCodeBlocks, root } from "./support/documents.ts";

const test = suite("documents");
// inside the package, so that the scripts can import it by its name
const scripts = join(root, "dist-test", "snippets");
test.after(() => rmSync(scripts, { recursive: true, force: true }));

for (const file of documents) {
  test(`${file}: links lead to existing files`, () => {
    const text = readFileSync(join(root, file), "utf8").replaceAll(/^```[\s\S]*?^```$/gm, "");
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path, anchor] = target.split("#");
      const linked = path ? join(root, dirname(file), path) : join(root, file);
      assert.ok(existsSync(linked), `${file} links to ${target}, which does not exist`);
      if (anchor) assert.ok(getAnchors(linked).includes(anchor), `${target} has no such heading`);
    }
  });
}

/** Returns the anchors that GitHub makes of a document's headings. */
function getAnchors(path: string): string[] {
  const headings = readFileSync(path, "utf8").matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

for (const file of executedDocuments) {
  for (const [i, code] of getCodeBlocks(file, "ts").entries()) {
    test(`${file}, code ${i + 1}`, () => {
      mkdirSync(scripts, { recursive: true });
      const script = join(scripts, `${basename(file)}.${i}.mjs`);
      writeFileSync(script, code);
      const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
        encoding: "utf8",
      });
      assert.is(status, 0, stderr);
      assert.ok(stdout.length > 0);
      // the comment after console.log(...) is its output
      for (const [, expected] of code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm))
        assert.ok(stdout.includes(expected), `${stdout} does not include ${expected}`);
    });
  }
}

test("docs/training.md lists every preset", async () => {
  const { presets } = await import("tinybard");
  const text = readFileSync(join(root, "docs/training.md"), "utf8");
  for (const name of Object.keys(presets)) assert.ok(text.includes(`\n| \`${name}\` `), name);
});

test("README.md has at most 900 words", () => {
  const words = readFileSync(join(root, "README.md"), "utf8").split(/\s+/).filter(Boolean);
  assert.ok(words.length <= 900, `${words.length} words`);
});

test.run();
