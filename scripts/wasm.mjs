// Builds the WebAssembly modules of the device wasm from native/ with @yowasp/clang, a compiler
// that is itself WebAssembly: no compiler of the system is needed, and the bytes are the same on
// every machine. A module is built only if its sources have changed.
//
// usage: npm run build:wasm [-- MODULE...]
// MODULE: plain, relaxed or relaxed64; by default the first two.

import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "build-wasm");
// Node 20 has relaxed SIMD behind a flag.
if (process.versions.node.startsWith("20.")) setFlagsFromString("--experimental-wasm-relaxed-simd");

/**
 * The modules, by the names that the command line takes. Multiply-adds that round once (relaxed)
 * are not in every browser; neither are 64-bit addresses, for more than 4 GiB of memory, which take
 * longer because each access is checked.
 */
export const modules = {
  plain: { file: "kernels.wasm", bits: 32, flags: [] },
  relaxed: { file: "kernels-relaxed.wasm", bits: 32, flags: ["-mrelaxed-simd"] },
  relaxed64: { file: "kernels-relaxed64.wasm", bits: 64, flags: ["-mrelaxed-simd"] },
};

/** The modules that the package contains. */
export const packagedModules = ["plain", "relaxed"];

/** The most memory: what 32-bit addresses reach, and what V8 allows with 64. */
const maxMemory = { 32: 4 * 2 ** 30, 64: 16 * 2 ** 30 };

const compileFlags = [
  "-O3",
  "-std=c++17",
  "-fno-exceptions",
  "-fno-rtti",
  "-fvisibility=hidden",
  "-Wall",
  "-Wextra",
  // The stack of a worker has no guard page. Its 256 KB are enough, because no kernel recurses.
  "-Wframe-larger-than=4096",
  "-Werror=frame-larger-than",
  "-Inative",
  // The C library exists for 32-bit addresses only, but its headers fit.
  "-idirafter",
  "/usr/include/wasm32-wasip1",
  "-D__wasi__",
  "-DSIMD=wasm",
  "-DSIMD_WASM",
  "-msimd128",
  "-mbulk-memory",
  "-msign-ext",
  "-mnontrapping-fptoint",
  "-matomics",
  "-mthread-model",
  "posix",
  // The default order keeps more values alive than there are registers: matmul is half as fast.
  "-mllvm",
  "-pre-RA-sched=source",
];

const linkFlags = [
  "-nostdlib",
  "-Wl,--no-entry",
  "-Wl,--strip-all",
  "-Wl,--stack-first", // so that an overflow traps
  "-Wl,-z,stack-size=262144",
  "-Wl,--import-memory,--shared-memory",
  "-Wl,--export=__stack_pointer",
  "-Wl,--export=__wasm_init_tls,--export=__tls_size,--export=__tls_align",
];

/** Returns the files of native/ that the modules are made of, by path. */
function readSources() {
  const sources = {};
  for (const name of ["", "arguments", "cpu", "cpu/simd", "wasm"]) {
    for (const entry of readdirSync(join(root, "native", name), { withFileTypes: true })) {
      if (!entry.isFile() || !/\.(cpp|h|def)$/.test(entry.name)) continue;
      const path = ["native", name, entry.name].filter(Boolean).join("/");
      sources[path] = readFileSync(join(root, path), "utf8").replaceAll("\r\n", "\n");
    }
  }
  return sources;
}

/** Returns the C++ files to compile: those of the kernels and of the module, not of the addon. */
function listUnits(sources) {
  const isUnit = (path) =>
    path.endsWith(".cpp") &&
    !/cpu\/(bf16|binding|buffer|dispatch|mpi|mpi_library|parallel)\.cpp$/.test(path);
  return Object.keys(sources).filter(isUnit).sort();
}

/** Returns files as the tree of objects that the compiler takes. It knows no "..". */
function makeTree(sources) {
  const tree = {};
  for (const [path, text] of Object.entries(sources)) {
    const names = path.split("/");
    const file = names.pop();
    let folder = tree;
    for (const name of names) folder = folder[name] ??= {};
    folder[file] = text.replaceAll('#include "../', '#include "');
  }
  return tree;
}

/** Hashes everything that a module depends on. */
function hashInputs(name, sources) {
  const compiler = JSON.parse(
    readFileSync(join(root, "node_modules/@yowasp/clang/package.json"), "utf8"),
  ).version;
  const inputs = [compiler, compileFlags, linkFlags, maxMemory, modules[name], sources];
  return createHash("sha256").update(JSON.stringify(inputs)).digest("hex");
}

/** A thread that runs the compiler, one command at a time. */
class Compiler {
  #worker;

  constructor() {
    this.#worker = new Worker(new URL("wasm-compiler.mjs", import.meta.url));
  }

  /** Runs the command on a tree of files; returns the file that it writes. */
  async run(args, tree, result) {
    this.#worker.postMessage({ args, tree, result });
    const [{ bytes, output }] = await once(this.#worker, "message");
    if (!bytes) throw new Error(output);
    if (output.includes("warning:")) console.error(output);
    return bytes;
  }

  close() {
    return this.#worker.terminate();
  }
}

/** Calls `work(compiler, item)` for each item, with a compiler for each core. */
async function forEach(compilers, items, work) {
  const queue = [...items];
  await Promise.all(
    compilers.map(async (compiler) => {
      while (queue.length > 0) await work(compiler, queue.shift());
    }),
  );
}

/** Returns the flags with which a unit of a module is compiled. Only kernels use relaxed SIMD. */
function getFlags({ bits, flags }, unit) {
  const target = `--target=wasm${bits}-unknown-unknown`;
  return [target, ...compileFlags, ...(unit.startsWith("native/cpu/") ? flags : [])];
}

/** Compiles and links modules; returns their bytes by name. Throws with the compiler's messages. */
async function compile(names, sources) {
  const tree = makeTree(sources);
  const tasks = new Map(); // the modules whose unit has the same flags share an object
  for (const unit of listUnits(sources)) {
    const object = unit.replaceAll("/", "_").replace(/cpp$/, "o");
    for (const name of names) {
      const flags = getFlags(modules[name], unit);
      const key = [unit, ...flags].join(" ");
      const task = tasks.get(key) ?? { unit, object, flags, names: [] };
      tasks.set(key, task);
      task.names.push(name);
    }
  }
  const count = Math.min(availableParallelism(), tasks.size);
  const compilers = Array.from({ length: count }, () => new Compiler());
  const objects = Object.fromEntries(names.map((name) => [name, {}]));
  const linked = {};
  try {
    await forEach(compilers, tasks.values(), async (compiler, { unit, object, flags, names }) => {
      const args = ["clang++", ...flags, "-c", unit, "-o", object];
      const bytes = await compiler.run(args, tree, object);
      for (const name of names) objects[name][object] = bytes;
    });
    await forEach(compilers, names, async (compiler, name) => {
      const { file, bits } = modules[name];
      const limit = `-Wl,--max-memory=${maxMemory[bits]}`;
      const inputs = Object.keys(objects[name]).sort();
      const target = `--target=wasm${bits}-unknown-unknown`;
      const args = ["clang++", target, ...linkFlags, limit, ...inputs, "-o", file];
      linked[name] = await compiler.run(args, objects[name], file);
      checkImports(linked[name]);
    });
  } finally {
    await Promise.all(compilers.map((compiler) => compiler.close()));
  }
  return linked;
}

/** Throws if a module needs more than its memory and the function that reports a full memory. */
function checkImports(bytes) {
  if (!WebAssembly.validate(bytes)) return; // 64-bit addresses in an older Node
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
  const names = imports.map(({ module, name }) => `${module}.${name}`);
  const unknown = names.filter((name) => !["env.memory", "env.throwOutOfMemory"].includes(name));
  if (unknown.length > 0) throw new Error(`the module imports ${unknown.join(", ")}`);
}

/**
 * Builds modules into build-wasm/, except those that are there and whose sources have not changed.
 * Returns the names of those that it has built.
 */
export async function buildModules(names) {
  const sources = readSources();
  const hashes = Object.fromEntries(names.map((name) => [name, hashInputs(name, sources)]));
  const pathOf = (name) => join(folder, modules[name].file);
  const isCurrent = (name) => {
    const hashFile = `${pathOf(name)}.sources`;
    const isSame = existsSync(hashFile) && readFileSync(hashFile, "utf8") === hashes[name];
    return isSame && existsSync(pathOf(name));
  };
  const changed = names.filter((name) => !isCurrent(name));
  if (changed.length === 0) return changed;
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(await compile(changed, sources))) {
    const file = pathOf(name);
    const temporary = `${file}.${process.pid}.tmp`; // of this process: there may be several builds
    writeFileSync(temporary, bytes);
    renameSync(temporary, file);
    writeFileSync(`${file}.sources`, hashes[name]);
  }
  return changed;
}

/** Returns the modules that the command line names, by default those of the package. */
export function readArguments(args) {
  const unknown = args.find((arg) => !Object.hasOwn(modules, arg));
  if (unknown !== undefined)
    throw new Error(`unknown module ${unknown}, expected plain, relaxed or relaxed64`);
  return args.length > 0 ? args : packagedModules;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = readArguments(process.argv.slice(2));
  const start = performance.now();
  const built = await buildModules(names);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  for (const name of names) {
    const { file } = modules[name];
    const bytes = readFileSync(join(folder, file)).length;
    console.log(`build-wasm/${file}: ${bytes} bytes${built.includes(name) ? ", built" : ""}`);
  }
  if (built.length > 0) console.log(`built in ${seconds} s`);
}
