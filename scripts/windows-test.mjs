// Runs the tests in Node for Windows, with the addon for Windows, in Wine.
//
// usage: npm run test:windows [-- FILTER... | --device NAME | other options of the test runner]
// On Debian: apt-get install wine64 clang g++-mingw-w64-x86-64-posix

import { join } from "node:path";
import { link, root, run } from "./compile.mjs";
import { hasWine, installWindowsNode } from "./windows-node.mjs";

if (!hasWine) {
  console.error("test:windows needs Wine; on Debian: apt-get install wine64");
  process.exit(1);
}
if ((await run(process.execPath, ["scripts/prebuild.mjs", "win32-x64"])) !== 0) process.exit(1);
const runNode = await installWindowsNode();

const devices = `import { devices } from "./dist/index.js";
console.log(process.platform, process.arch, process.version);
for (const { name, available, reason } of devices()) console.log(name, available, reason);`;
const check = runNode(["--input-type=module", "-e", devices]);
process.stdout.write(check.output);
if (!/^cpu true/m.test(check.output)) throw new Error("the addon does not load in Windows");

const event = join(root, "build-windows", "console-event.exe");
const compiler = ["x86_64-w64-mingw32-g++-posix", "-O1", "-static"];
await link(event, [...compiler, "test/native/console-event.cpp"]);
process.env.TINYBARD_CONSOLE_EVENT = `Z:${event}`;

const limit = ["--timeout", "600"]; // Node starts slowly in Wine
const options = [...limit, ...process.argv.slice(2)];
const result = runNode(["--enable-source-maps", "dist-test/run.js", ...options]);
process.stdout.write(result.output);
process.exitCode = result.status === 0 ? 0 : 1;
