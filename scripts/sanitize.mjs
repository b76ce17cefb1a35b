// Runs the tests of the C++ addon with the sanitizers of g++. A bad address, undefined behavior or
// a data race ends the test file. usage: npm run test:sanitize [address] [thread]

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join } from "node:path";
import { build, canRun, root, run } from "./compile.mjs";

const testFilters = [
  "backend/kernels.test",
  "backend/threads.test",
  "backend/addon.test",
  "backend/capture.test",
  "ops/",
];
const sanitizers = {
  address: {
    flags: ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    library: "libasan.so",
    env: { ASAN_OPTIONS: "detect_leaks=0", UBSAN_OPTIONS: "print_stacktrace=1" },
  },
  thread: {
    flags: ["-fsanitize=thread"],
    library: "libtsan.so",
    env: {
      TSAN_OPTIONS: `suppressions=${join(root, "scripts/sanitize.supp")}`,
      TINYBARD_THREADS: "2", // with one thread there are no races to find
    },
  },
};

const requested = process.argv.slice(2);
const unknown = requested.find((name) => !Object.hasOwn(sanitizers, name));
if (unknown) throw new Error(`unknown sanitizer ${unknown}, expected address or thread`);

const headers = join(dirname(process.execPath), "..", "include", "node");
const nodeAddonApi = createRequire(import.meta.url)("node-addon-api").include_dir;
// -g1: the line numbers that reports name, without the variables, which take time to compile.
const commonFlags = ["-O1", "-g1", "-fPIC", "-fno-omit-frame-pointer", "-fvisibility=hidden"];
// The sanitizers expect fixed addresses, so address space randomization is turned off.
const noRandomization = canRun("setarch", "-R", "true") ? ["setarch", "-R"] : [];
const testRun = ["dist-test/run.js", ...testFilters, "--device", "cpu", "--timeout", "600"];

/** Returns true if the processor may have AVX-512. */
function mayHaveAvx512() {
  if (process.arch !== "x64" || !existsSync("/proc/cpuinfo")) return true;
  return readFileSync("/proc/cpuinfo", "utf8").includes("avx512f");
}

/** The options of build() for processors without AVX-512: a third less to compile. */
const withoutAvx512 = {
  isWanted: (target) => !target.startsWith("avx512"),
  extraSources: ["test/native/no_avx512.cpp"],
};

/** Builds the addon with a sanitizer and runs the tests on it; returns their exit code. */
async function check(name) {
  const { flags, library, env } = sanitizers[name];
  const query = spawnSync("g++", [`-print-file-name=${library}`], { encoding: "utf8" });
  const libraryPath = query.stdout?.trim() ?? "";
  const hasHeaders = existsSync(join(headers, "node_api.h"));
  if (!isAbsolute(libraryPath) || !hasHeaders) {
    const missing = hasHeaders ? `${library} of g++` : `node_api.h in ${headers}`;
    console.log(`skipped: ${name}: missing ${missing}`);
    return 0;
  }
  const addon = join(root, "build-sanitize", name, "cpu.node");
  await build(addon, {
    cxx: "g++",
    arch: process.arch,
    flags: [...commonFlags, ...flags, "-DNAPI_VERSION=8", `-I${headers}`, `-I${nodeAddonApi}`],
    linkFlags: ["-shared"],
    ...(mayHaveAvx512() ? {} : withoutAvx512),
  });
  console.log(`\n== ${name}`);
  const commandLine = [...noRandomization, process.execPath, ...testRun];
  return run(commandLine[0], commandLine.slice(1), {
    ...env,
    LD_PRELOAD: libraryPath,
    TINYBARD_ADDON: addon,
  });
}

for (const name of requested.length > 0 ? requested : Object.keys(sanitizers)) {
  const code = await check(name);
  if (code !== 0) process.exitCode = code;
}
