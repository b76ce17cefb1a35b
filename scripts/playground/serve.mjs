// Serves a folder of static files on the loopback address.

import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, relative } from "node:path";

const types = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** The headers that a browser requires for threads. The service worker adds them elsewhere. */
const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/**
 * Serves the files of a folder under `base`, a path such as "/". Port 0 selects a free one.
 * Resolves to the URL and a function that ends the server.
 */
export function serve(folder, port, { base = "/", isIsolated = true } = {}) {
  const files = new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .map((file) => [base + relative(folder, file).replaceAll("\\", "/"), file]),
  );
  const server = createServer(({ url = "/", method }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const file = files.get(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    if (!file || (method !== "GET" && method !== "HEAD")) {
      const status = file ? 405 : 404;
      response.writeHead(status, { "content-type": "text/plain" }).end(`${status}\n`);
      return;
    }
    response.writeHead(200, {
      "content-type": types[extname(file)] ?? "application/octet-stream",
      "cache-control": "no-cache",
      ...(isIsolated ? isolation : {}),
    });
    response.end(method === "HEAD" ? undefined : readFileSync(file));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const url = `http://127.0.0.1:${server.address().port}${base}`;
      const close = () => {
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      };
      resolve({ url, close });
    });
  });
}
