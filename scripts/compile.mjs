// Compiles the targets of binding.gyp without gyp: with sanitizers, or for another processor.
// Object files that are newer than all sources are reused.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Returns the targets of binding.gyp for a processor: their sources, defines and flags. */
function readTargets(arch) {
  const text = readFileSync(join(root, "binding.gyp"), "utf8").replace(/^\s*#.*$/gm, "");
  const gyp = new Function(`return (${text})`)(); // without comments, it is JavaScript
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

/**
 * Compiles the targets for which `isWanted(name)` is true, and `extraSources`, and links them into
 * `file`. The flags of binding.gyp are added to `flags`.
 */
export async function build(
  file,
  { cxx, arch, flags, linkFlags, isWanted = () => true, extraSources = [] },
) {
  const targets = readTargets(arch).filter(({ name }) => isWanted(name));
  targets.push({ name: "extra", sources: extraSources, defines: [], flags: [] });
  const jobs = targets.flatMap((target) =>
    target.sources.map((source) => {
      const name = source.replaceAll("/", "-").replace(/cpp$/, "o");
      const object = join(dirname(file), target.name, name);
      const defines = target.defines.map((define) => `-D${define}`);
      const args = ["-std=c++17", "-c", ...flags, ...defines, ...target.flags, source];
      return { object, args: [...args, "-o", object] };
    }),
  );

  const native = readdirSync(join(root, "native"), { recursive: true });
  const sources = [...native.map((path) => `native/${path}`), ...extraSources, "binding.gyp"];
  const newest = Math.max(...sources.map((path) => getMtime(join(root, path))));
  const outdated = jobs.filter(({ object }) => getMtime(object) < newest);
  const compileOutdated = async () => {
    for (let job = outdated.shift(); job; job = outdated.shift()) {
      mkdirSync(dirname(job.object), { recursive: true });
      if ((await run(cxx, job.args)) !== 0) throw new Error(`${cxx} ${job.args.join(" ")}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileOutdated));
  const objects = jobs.map(({ object }) => object);
  const linked = await run(cxx, [...flags, ...objects, ...linkFlags, "-o", file]);
  if (linked !== 0) throw new Error(`${cxx} cannot link ${file}`);
}

/** Returns the modification time in milliseconds, 0 if the file does not exist. */
function getMtime(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
