// The library in Chromium: the results of a program on the main thread and in a worker are those
// in Node, with and without cross-origin isolation.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Page } from "playwright-core";
import * as tinybard from "tinybard";
import * as assert from "uvu/assert";
import { candidateFiles } from "#src/backend/platform/files.js";
import { inBrowser } from "../support/browser.js";
import { bundle, serveFiles } from "../support/bundle.js";
import { isWine } from "../support/platform.js";
import type { Functions } from "./page.js";
import { run } from "./program.js";

const hosts = tinybard.devices().filter(({ name }) => ["ts", "wasm"].includes(name));
const modules = candidateFiles("wasm").filter((file) => basename(file).startsWith("kernels"));
const files = new Map<string, string | Uint8Array>([
  // in Wine there is neither a browser nor esbuild, whose program is that for Linux
  ...(isWine ? [] : await bundle({ page: "browser/page.js", worker: "browser/worker.js" })),
  ...modules.map((file): [string, Uint8Array] => [basename(file), readFileSync(file)]),
]);

/** The exports of Node that need a file system or a process. */
const NODE_ONLY = [
  "HuggingFaceError",
  "loadBPE",
  "loadCorpus",
  "loadGPT2",
  "loadGPT2Tokenizer",
  "loadHuggingFace",
  "saveBPE",
  "saveGPT2",
  "saveLlama",
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
    for (const { name, available, reason } of hosts) {
      const where = `${name}${isIsolated ? ", cross-origin isolated" : ""}`;
      if (!available) {
        console.log(`skipped: browser, ${where}: ${reason}`);
        test.skip(`trains like Node on ${where}`);
        continue;
      }
      test(`trains like Node on ${where}`, async () => {
        const server = await serveFiles(files, { isIsolated });
        try {
          const { page, errors } = await open(server.url);
          assert.is(await call(page, "isIsolated"), isIsolated);
          const result = await run(name);
          assert.ok(result.losses[7] < result.losses[0] - 0.5);
          assert.match(result.damage, /^SafetensorsError: blob: has \d+ bytes of data, expected /);
          const expected = { ...result, threads: name === "wasm" && isIsolated ? 2 : 1 };
          assert.equal(await call(page, "run", name), expected);
          assert.equal(await call(page, "runInWorker", name), expected);
          assert.equal(errors, []);
        } finally {
          server.close();
        }
      });
    }

  test("loadWasm() refuses other files, and can be called again", async () => {
    const server = await serveFiles(files);
    try {
      const { page } = await open(server.url);
      const advice = "pass the URLs or the bytes of kernels-relaxed.wasm and kernels.wasm";
      for (const file of ["missing.wasm", "page.js"]) {
        const message = await call(page, "load", `/${file}`);
        assert.ok(message.startsWith(`loadWasm: /${file}: `), message);
        assert.ok(message.endsWith(advice), message);
      }
      if (modules.length === 0) return;
      assert.is(await call(page, "load", "/kernels.wasm"), "wasm");
      assert.is(await call(page, "load", "/missing.wasm"), "wasm"); // loads nothing
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
