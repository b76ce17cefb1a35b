// The library in Chromium: the results of a program on the main thread and in a worker are those
// in Node, with and without cross-origin isolation.

import type { Page } from "playwright-core";
import * as tinybard from "tinybard";
import * as assert from "uvu/assert";
import { inBrowser } from "../support/browser.js";
import { bundle, serveFiles } from "../support/bundle.js";
import type { Functions } from "./page.js";
import { run } from "./program.js";

const files = await bundle({ page: "browser/page.js", worker: "browser/worker.js" });

/** The exports of Node that need a file system or a process. */
const NODE_ONLY = [
  "GPT2Error",
  "loadBPE",
  "loadCorpus",
  "loadGPT2",
  "loadGPT2Tokenizer",
  "saveBPE",
  "saveGPT2",
  "train",
];

function call<K extends keyof Functions>(
  page: Page,
  name: K,
  argument?: unknown,
): Promise<Awaited<ReturnType<Functions[K]>>> {
  const code = `test.${name}(${JSON.stringify(argument)})`;
  return page.evaluate(code) as Promise<Awaited<ReturnType<Functions[K]>>>;
}

inBrowser("browser", (test, open) => {
  for (const isIsolated of [false, true])
    test(`trains like Node${isIsolated ? ", cross-origin isolated" : ""}`, async () => {
      const server = await serveFiles(files, { isIsolated });
      try {
        const { page, errors } = await open(server.url);
        assert.is(await call(page, "isIsolated"), isIsolated);
        const expected = await run("ts");
        assert.ok(expected.losses[7] < expected.losses[0] - 0.5);
        assert.match(expected.damage, /^SafetensorsError: blob: has \d+ bytes of data, expected /);
        assert.equal(await call(page, "run", "ts"), expected);
        assert.equal(await call(page, "runInWorker", "ts"), expected);
        assert.equal(errors, []);
      } finally {
        server.close();
      }
    });

  test("has the exports of Node except those that need files", async () => {
    const server = await serveFiles(files);
    try {
      const { page } = await open(server.url);
      const exports = await call(page, "listExports");
      const missing = Object.keys(tinybard).filter((name) => !exports.includes(name));
      assert.equal(missing.sort(), NODE_ONLY);
      assert.equal(
        exports.filter((name) => !(name in tinybard)),
        ["loadWasm"],
      );
    } finally {
      server.close();
    }
  });
});
