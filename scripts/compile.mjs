// Compiles the targets of binding.gyp without gyp: with sanitizers, or for another processor.
// Object files that are newer than all sources are reused.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Returns the contents of binding.gyp: without comments, it is JavaScript. */
function readGyp() {
  const text = readFileSync(join(root, "binding.gyp"), "utf8").replace(/^\s*#.*$/gm, "");
  return new Function(`return (${text})`)();
}

/** Returns the flags with which node-gyp compiles all targets, here and of its own. */
export function readDefaultFlags() {
  const { cflags, cflags_cc, defines } = readGyp().target_defaults;
  const nodeGyp = ["-fno-rtti", "-fno-strict-aliasing"];
  return [...cflags_cc, ...nodeGyp, ...cflags, ...defines.map((define) => `-D${define}`)];
}

/** Returns the targets of binding.gyp for a processor: their sources, defines and flags. */
function readTargets(arch) {
  const gyp = readGyp();
  const matching = (conditions = []) =>
    conditions
      .filter(([condition]) => condition === `target_arch == '${arch}'`)
      .map(([, settings]) => settings);
  const targets = [...gyp.targets];
  for (const settings of matching(gyp.conditions)) targets.push(...settings.targets);
  return targets.map((target) => {
    const isKernels = target.sources[0] === "<@(families)";
    const conditional = matching(target.conditions).flatMap((settings) => settings.defines);
    return {
      name: target.target_name,
      sources: isKernels ? gyp.variables.families : target.sources,
      defines: [...(target.defines ?? []), ...conditional],
      flags: target.cflags ?? [],
    };
  });
}

/** Returns true if the command can be run. */
export function canRun(command, ...args) {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** Runs a command and shows its output; returns its exit code. */
export function run(command, args, env = {}) {
  const options = { cwd: root, stdio: "inherit", env: { ...process.env, ...env } };
  return new Promise((resolve) => {
    spawn(command, args, options).on("close", (code) => resolve(code));
  });
}

/** Compiles and links targets as `compile` does; the linker gets the flags of the compiler too. */
export async function build(file, { linkFlags, ...options }) {
  const objects = await compile(dirname(file), options);
  await link(file, [options.cxx, ...options.flags, ...objects, ...linkFlags]);
}

/** Runs a linker's command. */
export async function link(file, [command, ...args]) {
  if ((await run(command, [...args, "-o", file])) !== 0)
    throw new Error(`${command} cannot link ${file}`);
}

/**
 * Compiles the targets for which `isWanted(name)` is true, and `extraSources`, into `folder`, and
 * returns the object files. The flags of binding.gyp are added to `flags`.
 */
export async function compile(
  folder,
  { cxx, arch, flags, isWanted = () => true, extraSources = [] },
) {
  const targets = readTargets(arch).filter(({ name }) => isWanted(name));
  targets.push({ name: "extra", sources: extraSources, defines: [], flags: [] });
  const jobs = targets.flatMap((target) =>
    target.sources.map((source) => {
      const name = source.replaceAll("/", "-").replace(/cpp$/, "o");
      const object = join(folder, target.name, name);
      const defines = target.defines.map((define) => `-D${define}`);
      const args = ["-std=c++17", "-c", ...flags, ...defines, ...target.flags, source];
      return { object, args: [...args, "-o", object] };
    }),
  );

  const native = readdirSync(join(root, "native"), { recursive: true });
  const inputs = [
    ...native.map((path) => `native/${path}`),
    "scripts/compile.mjs",
    "scripts/prebuild.mjs",
    ...extraSources,
    "binding.gyp",
  ];
  const newest = Math.max(...inputs.map((path) => getMtime(join(root, path))));
  const outdated = jobs.filter(({ object }) => getMtime(object) < newest);
  const compileOutdated = async () => {
    for (let job = outdated.shift(); job; job = outdated.shift()) {
      mkdirSync(dirname(job.object), { recursive: true });
      if ((await run(cxx, job.args)) !== 0) throw new Error(`${cxx} ${job.args.join(" ")}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileOutdated));
  return jobs.map(({ object }) => object);
}

/** Returns the modification time in milliseconds, 0 if the file does not exist. */
function getMtime(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
