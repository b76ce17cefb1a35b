// Runs both sides of a comparison, tinybard and PyTorch, in child processes that print JSON lines.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { readJSONLines } from "../command.ts";

type Args = readonly (string | number)[];
const PYTHON = process.platform === "win32" ? "python" : "python3";

/** Returns the version of PyTorch. Throws if it is not installed. */
export function getTorchVersion(): string {
  const args = ["-c", "import torch; print(torch.__version__)"];
  const { status, stdout } = spawnSync(PYTHON, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`bench:peers: ${PYTHON} has no PyTorch: pip install torch`);
  return stdout.trim();
}

/** Runs one of the Python programs in bench/peers. */
export function runTorch<T>(program: string, args: Args): AsyncGenerator<T> {
  const sources = new URL("../../../bench/peers/", import.meta.url); // from dist/bench/peers/
  const file = fileURLToPath(new URL(program, sources));
  // -B: do not write __pycache__
  return readJSONLines<T>(PYTHON, ["-B", file, ...args.map(String)]);
}

/** Runs a compiled program of bench, with its path relative to dist/bench/peers. */
export function runTinybard<T>(
  program: string,
  args: Args,
  env: NodeJS.ProcessEnv = {},
): AsyncGenerator<T> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  return readJSONLines<T>(process.execPath, [file, ...args.map(String)], env);
}
