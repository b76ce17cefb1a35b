// The static files of the page: its HTML and CSS, its compiled scripts, and uPlot. The server reads
// them into memory once and serves no other files.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Asset {
  type: string;
  content: Buffer;
}

const require = createRequire(import.meta.url);
const compiledFolder = fileURLToPath(new URL("./page", import.meta.url));
const sourceFolder = fileURLToPath(new URL("../../src/web/page", import.meta.url));
const contentTypes: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
};

/** Reads all assets, by URL path. */
export function readAssets(): Map<string, Asset> {
  const assets = new Map<string, Asset>();
  const add = (path: string, file: string) => {
    assets.set(path, { type: contentTypes[extname(file)], content: readFileSync(file) });
  };
  const uplotFolder = join(dirname(require.resolve("uplot/package.json")), "dist");
  add("/", join(sourceFolder, "index.html"));
  add("/uplot.js", join(uplotFolder, "uPlot.esm.js"));
  add("/uplot.css", join(uplotFolder, "uPlot.min.css"));
  for (const name of readdirSync(sourceFolder))
    if (name.endsWith(".css")) add(`/${name}`, join(sourceFolder, name));
  for (const name of readdirSync(compiledFolder))
    if (name.endsWith(".js")) add(`/page/${name}`, join(compiledFolder, name));
  return assets;
}

/**
 * Returns a Content-Security-Policy for the page: it may load from and connect to this server only,
 * and the only inline script that it may contain is the import map in `html`.
 */
export function createContentSecurityPolicy(html: string): string {
  const [, importMap = ""] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html) ?? [];
  const hash = createHash("sha256").update(importMap).digest("base64");
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
