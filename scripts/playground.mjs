// Builds the playground, a folder of static files: npm run playground builds and serves it.
// node scripts/playground.mjs [--out DIR] [--build-only] [--port N]

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const compiled = join(root, "dist/playground/page");
const source = join(root, "src/playground/page");
const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "dist/site") },
    "build-only": { type: "boolean", default: false },
    port: { type: "string", default: "6007" },
  },
});
const out = options.out;

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "texts"), { recursive: true });
await build({
  entryPoints: [join(compiled, "main.js"), join(compiled, "train-worker.js")],
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "browser",
  conditions: ["browser"],
  target: ["chrome111", "firefox113", "safari16.4"],
  minify: true,
  sourcemap: true,
  chunkNames: "chunk-[hash]",
  logLevel: "warning",
});
const page = join(root, "src/web/page");
const styles = [
  join(root, "node_modules/uplot/dist/uPlot.min.css"),
  ...["style.css", "autograd.css", "model.css"].map((name) => join(page, name)),
  ...readdirSync(source)
    .filter((name) => name.endsWith(".css"))
    .map((name) => join(source, name)),
];
writeFileSync(join(out, "style.css"), styles.map((file) => readFileSync(file, "utf8")).join("\n"));
for (const name of ["index.html", "icon.svg"]) cpSync(join(source, name), join(out, name));
cpSync(join(root, "src/playground/texts/names.txt"), join(out, "texts/names.txt"));

const { loadCorpus } = await import(join(root, "dist/data/corpus.js"));
const { text } = await loadCorpus("moby-dick");
writeFileSync(join(out, "texts/moby-dick.txt"), text.slice(0, text.indexOf("CHAPTER 22.")));
console.log(`built ${out}`);
if (!options["build-only"]) serve(Number(options.port));

/** Serves the folder on the loopback address, with the headers that threads need. */
function serve(port) {
  const types = { html: "text/html", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const name = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
    const file = files.get(name.slice(1));
    if (!file || !["GET", "HEAD"].includes(request.method)) {
      response.writeHead(file ? 405 : 404, { "content-type": "text/plain" }).end("not found\n");
      return;
    }
    const type = types[name.split(".").pop()] ?? "application/octet-stream";
    response.writeHead(200, {
      "content-type": type,
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
      "cache-control": "no-cache",
    });
    response.end(request.method === "HEAD" ? undefined : readFileSync(file));
  });
  const files = new Map(
    readdirSync(out, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [relative(out, file).replaceAll("\\", "/"), file]),
  );
  server.listen(port, "127.0.0.1", () =>
    console.log(`playground: http://127.0.0.1:${server.address().port}/`),
  );
}
