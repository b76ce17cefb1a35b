// Runs Node for Windows in Wine, on Linux. On Debian: apt-get install wine64

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { canRun, root } from "./compile.mjs";
import { installNode } from "./foreign-node.mjs";

const folder = join(root, "build-windows");
const wine = ["/usr/lib/wine/wine64", "wine64", "wine"].find((path) => canRun(path, "--version"));
/** Returns the Windows path of a file: Wine shows the root folder as drive Z. */
const toWindows = (path) => `Z:${path}`;
const { TINYBARD_DATA } = process.env;
const environment = {
  ...(TINYBARD_DATA && { TINYBARD_DATA: toWindows(resolve(TINYBARD_DATA)) }),
  NODE_OPTIONS: `--require ${JSON.stringify(toWindows(join(root, "scripts", "wine.cjs")))}`,
  WINEPREFIX: join(folder, "prefix"),
  WINEDEBUG: "-all",
  NODE_SKIP_PLATFORM_CHECK: "1",
  TINYBARD_WINE: "1",
};

/** True if Wine is installed. */
export const hasWine = wine !== undefined;

/** Runs a Windows program. Its output goes to a file: Node in Wine cannot write to a Linux pipe. */
function runWindows(program, args, log, cwd = root) {
  const output = openSync(log, "w");
  const options = { stdio: ["ignore", output, output], env: { ...process.env, ...environment } };
  const { status } = spawnSync(wine, [program, ...args], { cwd, ...options });
  closeSync(output);
  return { status, output: readFileSync(log, "utf8").replaceAll("\r\n", "\n") };
}

/** Creates the Windows drive and registry that Wine uses. */
function createPrefix() {
  if (existsSync(join(environment.WINEPREFIX, "system.reg"))) return;
  const args = ["add", "HKCU\\Software\\Wine", "/v", "Version", "/d", "win10", "/f"];
  const { status, output } = runWindows("reg", args, join(folder, "prefix.log"));
  if (status !== 0) throw new Error(`Wine cannot create ${environment.WINEPREFIX}: ${output}`);
}

/**
 * Installs Node for Windows. Returns a function that runs it with arguments in a folder, by default
 * the root of the repository, and returns its exit code and its output.
 */
export async function installWindowsNode() {
  mkdirSync(folder, { recursive: true });
  const node = await installNode("win-x64", folder, "node.exe");
  createPrefix();
  return (args, cwd) => runWindows(node, args, join(folder, "output.log"), cwd);
}
