// Runs a lesson: npm run lesson -- NUMBER [--device NAME]. Without a number it lists the
// lessons. A lesson is a file NN-name.ts in this folder that exports a function lesson(). It opens
// with a comment, which is printed first: its title, an introduction and the time that it takes.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Device, type DeviceName, device, setDefaultDevice } from "tinybard";
import { wrap } from "./print.ts";

const folder = fileURLToPath(new URL("../../lessons", import.meta.url)); // the sources

/** A mistake on the command line; the process exits with 2. */
class UsageError extends Error {}

try {
  const { number, deviceName } = parseCommandLine();
  if (number === undefined) console.log(`${listLessons()}\n\nnpm run lesson NUMBER runs one.`);
  else await runLesson(number, deviceName);
} catch (error) {
  const isUsage = error instanceof UsageError;
  console.error(isUsage ? `lesson: ${error.message}` : error);
  process.exitCode = isUsage ? 2 : 1;
}

function parseCommandLine() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { device: { type: "string", default: "auto" } },
    });
    if (positionals.length > 1) throw new Error(`unexpected argument ${positionals[1]}`);
    return { number: positionals[0], deviceName: values.device };
  } catch (error) {
    const [reason] = (error as Error).message.split(". "); // the rest is about positionals
    throw new UsageError(`${reason}\nusage: npm run lesson -- [NUMBER] [--device NAME]`);
  }
}

/** Returns a device by name. Throws a UsageError for an unknown name. */
function findDevice(name: string): Device {
  try {
    return device(name as DeviceName);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

/** Returns the lessons' file names, without the extension, by number. */
function findLessons(): Map<number, string> {
  const files = readdirSync(folder).filter((file) => /^\d\d-.*\.ts$/.test(file));
  return new Map(files.sort().map((file) => [Number(file.slice(0, 2)), file.slice(0, -3)]));
}

/** The comment at the top of a lesson. */
interface Head {
  title: string;
  /** Paragraphs, separated by blank lines. */
  introduction: string;
  /** Such as "10 seconds". */
  time: string;
}

/** Reads the comment at the top of a source file: the title, the introduction, the time. */
function readHead(file: string): Head {
  const [comment] = readFileSync(join(folder, file), "utf8").split("\n\n", 1);
  const text = comment.replace(/^\/\/ ?/gm, "");
  const [title, ...paragraphs] = text.split("\n\n");
  const [, time = ""] = /^Time: (.+)\.$/.exec(paragraphs.pop() ?? "") ?? [];
  return { title, introduction: paragraphs.join("\n\n"), time };
}

/** Returns one line per lesson: its number, title and time. */
function listLessons(): string {
  const lines = [...findLessons()].map(([number, name]) => {
    const { title, time } = readHead(`${name}.ts`);
    return `${String(number).padStart(2)}  ${title.replace(/^Lesson \d+: /, "")} (${time})`;
  });
  return lines.join("\n");
}

async function runLesson(number: string, deviceName: string): Promise<void> {
  const name = findLessons().get(Number(number));
  if (!name)
    throw new UsageError(`lesson ${number} does not exist; choose one of\n${listLessons()}`);
  setDefaultDevice(findDevice(deviceName));
  const { title, introduction, time } = readHead(`${name}.ts`);
  console.log(`${title}\nlessons/${name}.ts, about ${time}\n\n${wrap(introduction)}`);
  const { lesson } = await import(new URL(`${name}.js`, import.meta.url).href);
  await lesson();
}
