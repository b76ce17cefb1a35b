// The lessons of the course for the playground: their code without types, and the modules that it
// imports. Lessons 15 and 17 read files of the repository, and are left out.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = join(root, "lessons");
const compiled = join(root, "dist/lessons");
const helpers = [
  "figure",
  "graph",
  "heatmap",
  "line-chart",
  "bar-chart",
  "loss-table",
  "print",
  "reviews",
  "training",
];
const needsFiles = ["15", "17"];

/** Returns the names of the lessons, such as 01-value. */
function listLessons() {
  return readdirSync(sources)
    .filter((file) => /^\d\d-.*\.ts$/.test(file) && !needsFiles.includes(file.slice(0, 2)))
    .map((file) => file.slice(0, -3))
    .sort();
}

/** Returns the entry points for the library and for everything that a lesson can import. */
export function listLessonModules() {
  const names = [...helpers, ...listLessons()];
  const modules = names.map((name) => [`lessons/${name}`, join(compiled, `${name}.js`)]);
  return [["lessons/tinybard", "tinybard"], ...modules];
}

/**
 * Returns number, title, introduction and code of each lesson. The code is what the compiler makes
 * of it, which drops the types and, unfortunately, the blank lines: these are put back.
 */
export function readLessons() {
  return listLessons().map((name) => {
    const source = readFileSync(join(sources, `${name}.ts`), "utf8");
    const [head] = source.split("\n\n", 1);
    const lines = head.split("\n").map((line) => line.replace(/^\/\/ ?/, ""));
    const [title, , ...introduction] = lines.slice(0, -2); // the last line is the time in Node
    const code = readFileSync(join(compiled, `${name}.js`), "utf8")
      .replace(/\/\/# sourceMappingURL=.*\n?/, "")
      .replace(/^(\/\/.*\n)+/, ""); // the title and the introduction
    return {
      name,
      number: Number(name.slice(0, 2)),
      title: title.replace(/^Lesson \d+: /, ""),
      introduction: introduction.join("\n"),
      code: format(restoreBlankLines(source, code)),
    };
  });
}

/** Inserts a blank line before each line that follows one in the source. */
function restoreBlankLines(source, code) {
  const lines = source.split("\n").map((line) => line.trim());
  const result = [];
  let position = 0;
  for (const line of code.split("\n")) {
    const found = lines.indexOf(line.trim(), position);
    const isNear = found >= 0 && found < position + 60 && line.trim().length > 2;
    if (isNear && lines[found - 1] === "") result.push("");
    if (isNear) position = found + 1;
    result.push(line);
  }
  return result.join("\n");
}

/** Formats JavaScript as this project does. */
function format(code) {
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
  const args = [biome, "format", "--stdin-file-path=lesson.js"];
  const { stdout, status } = spawnSync(process.execPath, args, { input: code, encoding: "utf8" });
  return status === 0 ? stdout : code;
}

/** Resolves what lessons import from Node and from the library to modules for browsers. */
export const lessonPlugin = {
  name: "lessons",
  setup(build) {
    const page = join(root, "dist/playground/page");
    build.onResolve({ filter: /^node:(fs|path)$/ }, ({ importer }) =>
      importer.startsWith(compiled) ? { path: join(page, "lesson-files.js") } : undefined,
    );
    build.onResolve({ filter: /^tinybard$/ }, () => ({ path: join(page, "lesson-library.js") }));
  },
};
