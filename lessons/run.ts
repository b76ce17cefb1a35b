// Runs a lesson. usage: npm run lesson [NUMBER], or npm run lesson -- NUMBER --device NAME; without
// a number it lists them. A lesson is a file NN-name.ts beside this one with a function lesson().

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { device, setDefaultDevice } from "tinybard";
import { parse } from "#src/cli/args.js";
import { UsageError } from "#src/errors.js";
import { trainOptions } from "#src/train/config.js";

const sources = fileURLToPath(new URL("../../lessons", import.meta.url));

try {
  const [first, ...rest] = process.argv.slice(2);
  const hasNumber = first !== undefined && !first.startsWith("--");
  const flags = parse(
    "lesson",
    { device: trainOptions.device },
    hasNumber ? rest : process.argv.slice(2),
  );
  const { device: name = "auto" } = flags as { device?: Parameters<typeof device>[0] };
  if (hasNumber) await run(first, name);
  else console.log(`${list()}\n\nnpm run lesson NUMBER runs one.`);
} catch (error) {
  const isUsage = error instanceof UsageError;
  console.error(isUsage ? error.message : error);
  process.exitCode = isUsage ? 2 : 1;
}

/** The lessons' file names, without ending, by number. */
function lessons(): Map<number, string> {
  const files = readdirSync(sources).filter((file) => /^\d\d-.*\.ts$/.test(file));
  return new Map(files.sort().map((file) => [Number(file.slice(0, 2)), file.slice(0, -3)]));
}

/** A line for each lesson: its number, and its title, which is its file's first line. */
function list(): string {
  const lines = [...lessons()].map(([number, name]) => {
    const [first] = readFileSync(join(sources, `${name}.ts`), "utf8").split("\n", 1);
    return `${String(number).padStart(2)}  ${first.replace(/^\/\/ Lesson \d+: /, "")}`;
  });
  return lines.join("\n");
}

async function run(number: string, name: Parameters<typeof device>[0]): Promise<void> {
  const file = lessons().get(Number(number));
  if (!file) throw new UsageError(`lesson: there is no lesson ${number}; there are\n${list()}`);
  setDefaultDevice(device(name));
  const { lesson } = await import(new URL(`${file}.js`, import.meta.url).href);
  await lesson();
}
