// Compiles what binding.gyp says without gyp: with sanitizers, or for another processor. Objects
// that are newer than all sources are kept.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The targets of binding.gyp for a processor: their sources, defines and flags. */
function targetsOf(arch) {
  const text = readFileSync(join(root, "binding.gyp"), "utf8").replace(/^\s*#.*$/gm, "");
  const gyp = new Function(`return (${text})`)(); // without comments, it is JavaScript
  const chosen = (conditions = []) =>
    conditions.filter(([when]) => when === `target_arch == '${arch}'`).map(([, then]) => then);
  const targets = [...gyp.targets, ...chosen(gyp.conditions).flatMap((each) => each.targets)];
  return targets.map(({ target_name: name, sources, defines = [], cflags = [], conditions }) => ({
    name,
    sources: sources[0] === "<@(families)" ? gyp.variables.families : sources,
    defines: [...defines, ...chosen(conditions).flatMap((each) => each.defines)],
    flags: cflags,
  }));
}

/** Can this be run? */
export function isThere(command, ...words) {
  return spawnSync(command, words, { stdio: "ignore" }).status === 0;
}

/** Runs a command to its end, showing what it says; gives its exit code. */
export function run(command, words, env = {}) {
  const options = { cwd: root, stdio: "inherit", env: { ...process.env, ...env } };
  return new Promise((done) => spawn(command, words, options).on("close", (code) => done(code)));
}

/** Compiles all sources of the targets that `isWanted` names, and links them into `file`. */
export async function build(file, { cxx, arch, flags, link, isWanted = () => true, more = [] }) {
  const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const native = readdirSync(join(root, "native"), { recursive: true });
  const read = [...native.map((path) => `native/${path}`), ...more, "binding.gyp"];
  const newest = Math.max(...read.map((path) => timeOf(join(root, path))));
  const jobs = targetsOf(arch)
    .filter(({ name }) => isWanted(name))
    .concat({ name: "more", sources: more, defines: [], flags: [] })
    .flatMap(({ name, sources, defines, flags: own }) =>
      sources.map((source) => {
        const object = join(dirname(file), name, source.replaceAll("/", "-").replace(/cpp$/, "o"));
        const words = [...defines.map((define) => `-D${define}`), ...own, source, "-o", object];
        return { object, words: ["-std=c++17", "-c", ...flags, ...words] };
      }),
    );
  const waiting = jobs.filter(({ object }) => timeOf(object) < newest);
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      mkdirSync(dirname(job.object), { recursive: true });
      if ((await run(cxx, job.words)) !== 0) throw new Error(`${cxx} ${job.words.join(" ")}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const objects = jobs.map(({ object }) => object);
  if ((await run(cxx, [...flags, ...objects, ...link, "-o", file])) !== 0)
    throw new Error(`${cxx} cannot link ${file}`);
}
