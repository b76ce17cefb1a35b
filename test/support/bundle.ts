// Bundles for browsers, and a server for them.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Bundles compiled modules of dist-test for browsers. Returns the bundles by name. */
export async function bundle(entries: Record<string, string>): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: entries,
    absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
    bundle: true,
    format: "esm",
    platform: "browser",
    minify: true,
    outdir: "/",
    write: false,
    logLevel: "silent",
  });
  return new Map(outputFiles.map(({ path, text }) => [path.replace(/^.*[\\/]/, ""), text]));
}

/**
 * Serves files from memory on loopback. Those without an entry are an empty page. With
 * `isIsolated`, pages are cross-origin isolated, so that they have SharedArrayBuffer.
 */
export async function serveFiles(
  files: ReadonlyMap<string, string | Uint8Array>,
  { isIsolated = false } = {},
): Promise<{ url: string; close(): void }> {
  const isolation = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  };
  const types = { js: "text/javascript", wasm: "application/wasm" };
  const server = createServer(({ url = "" }, response) => {
    const name = url.slice(1);
    const type = types[name.split(".").at(-1) as keyof typeof types] ?? "text/html";
    response.writeHead(200, { "Content-Type": type, ...(isIsolated && isolation) });
    response.end(
      files.get(name) ??
        "<!doctype html><link rel=icon href=data:,><script src=page.js type=module></script>",
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
