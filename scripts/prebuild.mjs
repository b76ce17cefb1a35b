// Builds the addons that are published in the package, prebuilds/TARGET/cpu.node, from binding.gyp.
// For Linux they need what Node needs: glibc 2.28 and the C++ library of GCC 8, or later.
// For Windows they need nothing.
//
// usage: npm run build:prebuilds [-- TARGET...]
// Not `npm run prebuild`, which npm would run before each `npm run build`.
// By default: all targets whose compilers are installed. Needs Debian's packages (`packages` below)
// and the headers of Node.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { canRun, compile, link, readDefaultFlags, root } from "./compile.mjs";

const require = createRequire(import.meta.url);
const mingw = "x86_64-w64-mingw32";

/** The newest versions of symbols that the libraries on the oldest systems have. */
const newestSymbols = { GLIBC: "2.28", GLIBCXX: "3.4.25", CXXABI: "1.3.11", GCC: "8.0" };

/** The platforms whose addons are compiled on Linux. */
export const targets = {
  "linux-x64": {
    arch: "x64",
    cxx: "g++",
    tools: ["g++", "readelf"],
    packages: ["g++"],
    isSupported: process.platform === "linux" && process.arch === "x64",
    compile: compileForLinux,
    link: linkForLinux,
  },
  "linux-arm64": {
    arch: "arm64",
    cxx: "aarch64-linux-gnu-g++",
    tools: ["aarch64-linux-gnu-g++", "readelf"],
    packages: ["g++-aarch64-linux-gnu"],
    isSupported: true,
    compile: compileForLinux,
    link: linkForLinux,
  },
  // g++ for Windows misaligns AVX registers on the stack (GCC bug 54412), so clang compiles.
  "win32-x64": {
    arch: "x64",
    cxx: "clang++",
    tools: ["clang++", `${mingw}-g++-posix`, `${mingw}-nm`, `${mingw}-dlltool`],
    packages: ["clang", "g++-mingw-w64-x86-64-posix"],
    isSupported: true,
    compile: compileForWindows,
    link: linkForWindows,
  },
};

/** Returns the folder of the object files of a target. */
const objectFolder = (name) => join(root, "build-prebuild", name);

/** Compiles for Linux with g++. */
function compileForLinux(target, folder, flags) {
  const oldGlibc = ["-include", "native/prebuilt/old_glibc.h"];
  return compile(folder, { ...target, flags: [...flags, "-fPIC", "-pthread", ...oldGlibc] });
}

/** Links with g++. The addon finds the functions of Node in the program that loads it. */
async function linkForLinux(file, objects, { cxx }) {
  await link(file, [cxx, ...objects, "-shared", "-pthread", "-s"]);
  const symbols = capture("readelf", "--dyn-syms", "--wide", file);
  for (const [library, newest] of Object.entries(newestSymbols)) {
    for (const [name, version] of symbols.matchAll(new RegExp(`\\S+@${library}_([0-9.]+)`, "g"))) {
      if (version.localeCompare(newest, "en", { numeric: true }) > 0)
        throw new Error(`${name} needs a later ${library} than ${newest}: see old_glibc.h`);
    }
  }
}

/** Compiles for Windows with clang. */
function compileForWindows(target, folder, flags) {
  const library = join(capture(`${mingw}-g++-posix`, "-print-libgcc-file-name"), "..");
  const include = join(library, "include", "c++");
  const headers = [include, join(include, mingw)].flatMap((path) => ["-isystem", path]);
  return compile(folder, {
    ...target,
    flags: [`--target=${mingw}`, ...flags, "-Wno-unknown-warning-option", ...headers],
    // mingw's own sine is that of the x87 unit, which is wrong for large numbers
    extraSources: ["native/prebuilt/delay_load.cpp", "native/wasm/math.cpp"],
  });
}

/** Links with g++ of mingw. */
async function linkForWindows(file, objects) {
  const folder = objectFolder("win32-x64");
  // The import library of the program that loads the addon, with the functions that it calls.
  const undefinedSymbols = capture(`${mingw}-nm`, "--undefined-only", ...objects);
  const functions = [...undefinedSymbols.matchAll(/ (?:__imp_)?(napi_\w+)$/gm)].map(
    ([, name]) => name,
  );
  const definitions = join(folder, "node.def");
  const importLibrary = join(folder, "libnode.a");
  writeFileSync(
    definitions,
    `LIBRARY node.exe\nEXPORTS\n${[...new Set(functions)].sort().join("\n")}\n`,
  );
  capture(`${mingw}-dlltool`, "-d", definitions, "--output-delaylib", importLibrary);

  const linkFlags = ["-shared", "-static", "-s", "-Wl,--no-insert-timestamp,--no-warnings"];
  await link(file, [`${mingw}-g++-posix`, ...objects, importLibrary, ...linkFlags]);
}

/** Runs a tool and returns what it prints. */
function capture(command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** Returns a folder with node_api.h, the same for all platforms; node-gyp may download it. */
function findHeaders() {
  const installed = join(dirname(process.execPath), "..", "include", "node");
  const cache = {
    darwin: join(homedir(), "Library", "Caches"),
    win32: process.env.LOCALAPPDATA ?? "",
  };
  const devdir = process.env.npm_config_devdir ?? [
    cache[process.platform] ?? process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"),
    "node-gyp",
  ];
  const downloaded = join(...[devdir].flat(), process.versions.node, "include", "node");
  const find = () => [installed, downloaded].find((path) => existsSync(join(path, "node_api.h")));
  if (!find()) capture(process.execPath, require.resolve("node-gyp/bin/node-gyp.js"), "install");
  const headers = find();
  if (!headers) throw new Error(`no node_api.h in ${installed} or ${downloaded}`);
  return headers;
}

/** Compiles one target; returns the object files. */
export function compileTarget(name) {
  const flags = [
    ...readDefaultFlags(),
    "-DBUILDING_NODE_EXTENSION",
    "-DNODE_GYP_MODULE_NAME=cpu",
    `-I${findHeaders()}`,
    `-I${require("node-addon-api").include_dir}`,
  ];
  return targets[name].compile(targets[name], objectFolder(name), flags);
}

/** Builds one target. */
async function prebuild(name) {
  const start = Date.now();
  const file = join(root, "prebuilds", name, "cpu.node");
  mkdirSync(dirname(file), { recursive: true });
  const objects = await compileTarget(name);
  await targets[name].link(file, objects, targets[name]);
  const kilobytes = Math.round(statSync(file).size / 1000);
  const seconds = Math.round((Date.now() - start) / 1000);
  console.log(`prebuilds/${name}/cpu.node: ${kilobytes} KB, built in ${seconds} s`);
}

/** Builds the targets that are named, or all whose compilers are installed. */
async function main(requested) {
  const unknown = requested.find((name) => !Object.hasOwn(targets, name));
  if (unknown) {
    const names = Object.keys(targets).join(", ");
    throw new Error(`unknown target ${unknown}, expected ${names}`);
  }
  for (const name of requested.length > 0 ? requested : Object.keys(targets)) {
    const { tools, packages, isSupported } = targets[name];
    const missing = tools.filter((tool) => !canRun(tool, "--version"));
    if (missing.length === 0 && isSupported) {
      await prebuild(name);
    } else {
      const reason = isSupported
        ? `no ${missing.join(", ")}; on Debian: apt-get install ${packages.join(" ")}`
        : `needs ${name}`;
      console.log(`skipped ${name}: ${reason}`);
      if (requested.length > 0) process.exitCode = 1;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
