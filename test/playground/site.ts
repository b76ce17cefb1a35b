// Builds the playground for the tests of a file, and serves it as a plain web server would.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const script = fileURLToPath(new URL("../../scripts/playground.mjs", import.meta.url));

/** Builds the playground in a temporary folder. */
export async function buildSite(): Promise<{ folder: string; remove(): void }> {
  const parent = mkdtempSync(join(tmpdir(), "tinybard-playground-"));
  const folder = join(parent, "site");
  await promisify(execFile)(process.execPath, [script, "--build-only", "--out", folder]);
  return { folder, remove: () => rmSync(parent, { recursive: true }) };
}

const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** The headers that a browser requires for threads. */
export const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/**
 * Serves a folder under a path, such as "/a/b/", without any headers but the content type and those
 * in `headers`.
 */
export async function serveFolder(
  folder: string,
  base: string,
  headers: Record<string, string> = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(({ url = "/" }, response) => {
    const [path] = url.split("?");
    const name = path.startsWith(base) ? path.slice(base.length) || "index.html" : "";
    const file = join(folder, name);
    if (name === "" || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const type = types[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, ...headers }).end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${base}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
