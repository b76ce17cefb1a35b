// Runs the tests of the C++ addon with the sanitizers of g++: bad addresses and undefined behaviour
// end a test file, and so do data races. usage: npm run test:sanitize [address] [thread]

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { build, isThere, root, run } from "./compile.mjs";

const pages = ["kernels.test", "native.test", "addon.test", "capture.test", "ops/"];
const sanitizers = {
  address: {
    flags: ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    library: "libasan.so",
    env: { ASAN_OPTIONS: "detect_leaks=0", UBSAN_OPTIONS: "print_stacktrace=1" },
  },
  thread: {
    flags: ["-fsanitize=thread"],
    library: "libtsan.so",
    env: { TSAN_OPTIONS: `suppressions=${join(root, "scripts/sanitize.supp")}` },
  },
};

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !(name in sanitizers));
if (unknown) throw new Error(`unknown sanitizer ${unknown}, expected address or thread`);

const headers = join(dirname(process.execPath), "..", "include", "node");
const common = ["-O1", "-g", "-fPIC", "-fno-omit-frame-pointer", "-fvisibility=hidden"];
// the sanitizers want what lies in memory where they expect it
const still = isThere("setarch", "-R", "true") ? ["setarch", "-R"] : [];
const test = [
  process.execPath,
  "dist-test/run.js",
  ...pages,
  "--device",
  "cpu",
  "--timeout",
  "600",
];

/** Builds the addon with a sanitizer, and runs the tests on it; gives their exit code. */
async function check(name) {
  const { flags, library, env } = sanitizers[name];
  const asking = spawnSync("g++", [`-print-file-name=${library}`], { encoding: "utf8" });
  const preload = asking.stdout?.trim() ?? "";
  const hasHeaders = existsSync(join(headers, "node_api.h"));
  if (!isAbsolute(preload) || !hasHeaders) {
    const missing = hasHeaders ? `${library} of g++` : `node_api.h in ${headers}`;
    console.log(`skipped: ${name}: there is no ${missing}`);
    return 0;
  }
  const addon = join(root, "build-sanitize", name, "cpu.node");
  await build(addon, {
    cxx: "g++",
    arch: process.arch,
    flags: [...common, ...flags, "-DNAPI_VERSION=8", `-I${headers}`],
    link: ["-shared"],
  });
  console.log(`\n== ${name}`);
  const [command, ...words] = [...still, ...test];
  return run(command, words, { ...env, LD_PRELOAD: preload, TINYBARD_ADDON: addon });
}

for (const name of asked.length > 0 ? asked : Object.keys(sanitizers))
  process.exitCode = (await check(name)) || process.exitCode;
