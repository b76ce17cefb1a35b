// The processes that measure: programs of ours, and PyTorch's where Python has it.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Whether python3 has PyTorch; if not, says so. */
export function hasTorch(): boolean {
  const { status } = spawnSync("python3", ["-c", "import torch"]);
  if (status !== 0) console.log("skipped: PyTorch: python3 has none");
  return status === 0;
}

/** Runs a program of ours, named as seen from here, whose words go to the terminal. */
export async function runHere(
  program: string,
  words: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const child = spawn(process.execPath, [file, ...words], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ${words.join(" ")}: exit code ${code}`);
}
