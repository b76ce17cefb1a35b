// Runs the tests in Node for Windows, with the addon for Windows, in Wine.
//
// usage: npm run test:windows [-- FILTER... | --device NAME | other options of the test runner]
// On Debian: apt-get install wine64 clang g++-mingw-w64-x86-64-posix

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { canRun, root, run } from "./compile.mjs";
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
};

/** Runs a Windows program. Its output goes to a file: Node in Wine cannot write to a Linux pipe. */
async function runWindows(program, args, log) {
  const output = openSync(log, "w");
  const options = { stdio: ["ignore", output, output], env: { ...process.env, ...environment } };
  const { status } = spawnSync(wine, [program, ...args], { cwd: root, ...options });
  closeSync(output);
  return { status, output: readFileSync(log, "utf8").replaceAll("\r\n", "\n") };
}

/** Creates the Windows drive and registry that Wine uses. */
async function createPrefix() {
  if (existsSync(join(environment.WINEPREFIX, "system.reg"))) return;
  const args = ["add", "HKCU\\Software\\Wine", "/v", "Version", "/d", "win10", "/f"];
  const { status, output } = await runWindows("reg", args, join(folder, "prefix.log"));
  if (status !== 0) throw new Error(`Wine cannot create ${environment.WINEPREFIX}: ${output}`);
}

if (!wine) {
  console.error("test:windows needs Wine; on Debian: apt-get install wine64");
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
if ((await run(process.execPath, ["scripts/prebuild.mjs", "win32-x64"])) !== 0) process.exit(1);
const node = await installNode("win-x64", folder, "node.exe");
await createPrefix();

const devices = `import { devices } from "./dist/index.js";
console.log(process.platform, process.arch, process.version);
for (const { name, available, detail } of devices()) console.log(name, available, detail);`;
const check = await runWindows(
  node,
  ["--input-type=module", "-e", devices],
  join(folder, "devices.log"),
);
process.stdout.write(check.output);
if (!/^cpu true/m.test(check.output)) throw new Error("the addon does not load in Windows");

const runner = ["--enable-source-maps", "dist-test/run.js", ...process.argv.slice(2)];
const result = await runWindows(node, runner, join(folder, "test.log"));
process.stdout.write(result.output);
process.exitCode = result.status === 0 ? 0 : 1;
