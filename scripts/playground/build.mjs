// Builds the playground into a folder: the page, the service worker, and a folder named after its
// content with everything else, so that no cache mixes two versions.

import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { loadCorpus } from "../../dist/data/corpus.js";
import { lessonPlugin, listLessonModules, readLessons } from "./lessons.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const compiled = join(root, "dist/playground/page");
const source = join(root, "src/playground/page");

const shared = {
  bundle: true,
  format: "esm",
  platform: "browser",
  target: ["chrome111", "firefox113", "safari16.4"],
  minify: true,
  logLevel: "warning",
};

/** The names that a built folder contains. */
const BUILT = /^(app-[0-9a-f]{10}|icon\.svg|index\.html|service-worker\.js)$/;

/**
 * Builds the playground into a folder, which is replaced. The project must have been compiled.
 * Returns its size in bytes. Throws if the folder contains other files.
 */
export async function buildSite(folder) {
  const out = resolve(folder); // without a slash at the end
  const other = fs.existsSync(out) && fs.readdirSync(out).find((name) => !BUILT.test(name));
  if (other) throw new Error(`${out}: contains ${other}, expected no folder or an earlier build`);
  const work = `${out}.tmp`; // replaces the folder when it is complete
  fs.rmSync(work, { recursive: true, force: true });
  fs.mkdirSync(work, { recursive: true });
  const imported = await bundle(join(work, "app"));
  fs.writeFileSync(join(work, "app/style.css"), joinStyles());
  fs.writeFileSync(join(work, "app/lessons.json"), JSON.stringify(readLessons()));
  await writeTexts(join(work, "app/texts"));
  copyModules(join(work, "app"));

  const version = `app-${hashFolder(join(work, "app"))}`;
  fs.renameSync(join(work, "app"), join(work, version));
  const preloads = imported.map(
    (file) => `<link rel="modulepreload" href="VERSION/${file}" />\n    `,
  );
  const html = fs
    .readFileSync(join(source, "index.html"), "utf8")
    .replace("<script", `${preloads.join("")}<script`)
    .replaceAll("VERSION/", `${version}/`);
  fs.writeFileSync(join(work, "index.html"), html);
  fs.cpSync(join(source, "icon.svg"), join(work, "icon.svg"));
  await build({
    ...shared,
    entryPoints: [join(compiled, "service-worker.js")],
    outfile: join(work, "service-worker.js"),
    format: "iife",
    define: { VERSION: `"${version}"`, FILES: JSON.stringify(["./", ...listFiles(work)]) },
  });
  fs.rmSync(out, { recursive: true, force: true });
  fs.renameSync(work, out);
  return listFiles(out).reduce((sum, file) => sum + fs.statSync(join(out, file)).size, 0);
}

/**
 * Bundles the page, its workers, and the modules that the code of lessons imports. The page and the
 * worker that trains share no files: each of them starts after one download. Returns the files that
 * the page imports at once.
 */
async function bundle(folder) {
  const toEntry = (name) => [name, join(compiled, `${name}.js`)];
  const bundleEntries = (...entries) =>
    build({
      ...shared,
      entryPoints: Object.fromEntries(entries),
      outdir: folder,
      splitting: true,
      chunkNames: "chunk-[hash]",
      plugins: [lessonPlugin],
      metafile: true,
    });
  await bundleEntries(toEntry("train-worker"));
  await bundleEntries(toEntry("lesson-worker"), ...listLessonModules());
  const { metafile } = await bundleEntries(toEntry("main"));
  const [, main] = Object.entries(metafile.outputs).find(([file]) => basename(file) === "main.js");
  return main.imports
    .filter(({ kind }) => kind === "import-statement")
    .map(({ path }) => basename(path));
}

function joinStyles() {
  const page = join(root, "src/web/page");
  const files = [
    join(root, "node_modules/uplot/dist/uPlot.min.css"),
    ...["style.css", "editor.css", "autograd.css", "model.css"].map((name) => join(page, name)),
    ...["layout.css", "train.css", "lessons.css"].map((name) => join(source, name)),
  ];
  return files.map((file) => fs.readFileSync(file, "utf8")).join("\n");
}

/** Writes the built-in texts: the names, and the first 21 chapters of Moby-Dick. */
async function writeTexts(folder) {
  fs.mkdirSync(folder, { recursive: true });
  fs.cpSync(join(root, "src/playground/texts/names.txt"), join(folder, "names.txt"));
  const { text } = await loadCorpus("moby-dick");
  fs.writeFileSync(join(folder, "moby-dick.txt"), text.slice(0, text.indexOf("CHAPTER 22.")));
}

/** Copies the WebAssembly modules. Without them, the page computes in JavaScript. */
function copyModules(folder) {
  const places = [join(root, "build-wasm"), join(root, "prebuilds/wasm")];
  const found = places.find((place) => fs.existsSync(join(place, "kernels.wasm")));
  if (!found) {
    console.warn("playground: no WebAssembly modules (npm run build:wasm); the page will be slow");
    return;
  }
  for (const name of fs.readdirSync(found).filter((file) => file.endsWith(".wasm")))
    fs.cpSync(join(found, name), join(folder, name));
}

/** Returns the paths of the files of a folder, in a fixed order. */
function listFiles(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
    .map((file) => file.replaceAll("\\", "/"))
    .sort();
}

function hashFolder(folder) {
  const hash = createHash("sha256");
  for (const file of listFiles(folder))
    hash.update(file).update(fs.readFileSync(join(folder, file)));
  return hash.digest("hex").slice(0, 10);
}
