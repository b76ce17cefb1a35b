// The files that the page is made of: its own, compiled and not, and uPlot's. Nothing else can be
// asked for.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Asset {
  type: string;
  content: Buffer;
}

const require = createRequire(import.meta.url);
const compiled = fileURLToPath(new URL("./page", import.meta.url));
const sources = fileURLToPath(new URL("../../src/web/page", import.meta.url));
const types: Record<string, string> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** All assets by path, read once. */
export function readAssets(): Map<string, Asset> {
  const uplot = join(dirname(require.resolve("uplot/package.json")), "dist");
  const files = {
    "/": join(sources, "index.html"),
    ...Object.fromEntries(
      readdirSync(sources)
        .filter((name) => name.endsWith(".css"))
        .map((name) => [`/${name}`, join(sources, name)]),
    ),
    "/uplot.js": join(uplot, "uPlot.esm.js"),
    "/uplot.css": join(uplot, "uPlot.min.css"),
    ...Object.fromEntries(
      readdirSync(compiled)
        .filter((name) => name.endsWith(".js"))
        .map((name) => [`/page/${name}`, join(compiled, name)]),
    ),
  };
  return new Map(
    Object.entries(files).map(([path, file]) => [
      path,
      { type: types[file.split(".").at(-1) as string], content: readFileSync(file) },
    ]),
  );
}

/**
 * A policy for the page: it may load and talk to nothing but this server, and run no script in its
 * HTML but the import map.
 */
export function policyFor(html: string): string {
  const [, inline = ""] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html) ?? [];
  const hash = createHash("sha256").update(inline).digest("base64");
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
