// Runs a lesson: npm run lesson -- NUMBER [solution] [--device NAME]. Without a number it lists the
// lessons. A lesson is a file NN-name.ts in this folder that exports a function lesson(); the file
// of the same name in solutions/ exports a function solution(). Each opens with a comment of its
// title, an introduction and the time that it takes, which is printed first.

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
  const { number, isSolution, deviceName } = parseCommandLine();
  if (number === undefined)
    console.log(`${listLessons()}\n\nnpm run lesson NUMBER runs one of them, and
npm run lesson NUMBER solution the solutions to its exercises.`);
  else await runLesson(number, isSolution, deviceName);
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
    const [number, part, extra] = positionals;
    const unexpected = part === undefined || part === "solution" ? extra : part;
    if (unexpected !== undefined) throw new Error(`unexpected argument ${unexpected}`);
    return { number, isSolution: part === "solution", deviceName: values.device };
  } catch (error) {
    const [reason] = (error as Error).message.split(". "); // the rest is about positionals
    throw new UsageError(`${reason}\nusage: npm run lesson -- [NUMBER [solution]] [--device NAME]`);
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

/** The comment at the top of a lesson, or of its solutions. */
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

async function runLesson(number: string, isSolution: boolean, deviceName: string): Promise<void> {
  const name = findLessons().get(Number(number));
  if (!name)
    throw new UsageError(`lesson ${number} does not exist; choose one of\n${listLessons()}`);
  setDefaultDevice(findDevice(deviceName));
  const path = isSolution ? `solutions/${name}` : name;
  const { title, introduction, time } = readHead(`${path}.ts`);
  console.log(`${title}\nlessons/${path}.ts, about ${time}\n\n${wrap(introduction)}`);
  const module = await import(new URL(`${path}.js`, import.meta.url).href);
  if (isSolution) {
    await module.solution();
    return;
  }
  await module.lesson();
  const { time: solutionTime } = readHead(`solutions/${name}.ts`);
  console.log(`Solutions: npm run lesson ${Number(number)} solution (about ${solutionTime})`);
}
