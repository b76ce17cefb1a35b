// Installs Node for another platform, from the npm registry, to run the tests in an emulator.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "./compile.mjs";

/** The version of Node that the tests run in, of the oldest line that tinybard supports. */
const version = "20.20.2";

/** Returns the Node program of a platform, such as win-x64, which is downloaded into `folder`. */
export async function installNode(platform, folder, program, nodeVersion = version) {
  const directory = join(folder, `node-${nodeVersion}`);
  const file = join(directory, "package", "bin", program);
  if (existsSync(file)) return file;
  mkdirSync(directory, { recursive: true });
  const name = `node-${platform}@${nodeVersion}`;
  console.log(`installing ${name}`);
  const archive = join(directory, `node-${platform}-${nodeVersion}.tgz`);
  // npm install would refuse a package for another platform
  const isInstalled =
    (await run("npm", ["pack", "--silent", "--pack-destination", directory, name])) === 0 &&
    (await run("tar", ["-xzf", archive, "-C", directory])) === 0;
  if (!isInstalled || !existsSync(file)) throw new Error(`cannot install ${name} in ${directory}`);
  return file;
}
