// Both sides of a comparison, in processes of their own, which print lines of JSON.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { jsonLines } from "../command.ts";

type Words = readonly (string | number)[];
const PYTHON = process.platform === "win32" ? "python" : "python3";

/** The version of PyTorch; throws where there is none. */
export function torchVersion(): string {
  const words = ["-c", "import torch; print(torch.__version__)"];
  const { status, stdout } = spawnSync(PYTHON, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`bench:peers: ${PYTHON} has no PyTorch: pip install torch`);
  return stdout.trim();
}

/** One of the Python programs beside this file's source. */
export function torch<T>(program: string, words: Words): AsyncGenerator<T> {
  const sources = new URL("../../../bench/peers/", import.meta.url); // from dist/bench/peers/
  const file = fileURLToPath(new URL(program, sources));
  return jsonLines<T>(PYTHON, ["-B", file, ...words.map(String)]); // -B: no __pycache__ beside it
}

/** A program of ours, named as seen from here. */
export function ours<T>(
  program: string,
  words: Words,
  env: NodeJS.ProcessEnv = {},
): AsyncGenerator<T> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  return jsonLines<T>(process.execPath, [file, ...words.map(String)], env);
}
