// Loads the WebAssembly module in a browser, and starts its worker threads.

import { checkOptions, shorten } from "../../errors.ts";
import { findMismatch, type WasmAddon } from "../addon.ts";
import { setDefaultDevice } from "../devices.ts";
import { instantiate } from "../wasm/instance.ts";
import { type CompiledModule, serve, WebAssembly, type WorkerTask } from "../wasm/module.ts";
import { platform, setWasmAddon } from "./browser.ts";

/** A module: its URL, or its bytes. */
export type WasmSource = string | URL | ArrayBuffer | Uint8Array;

/** The modules that loadWasm() loads. */
export interface WasmOptions {
  /** kernels-relaxed.wasm, for browsers with relaxed SIMD: all but WebKit. */
  relaxed?: WasmSource;
  /** kernels.wasm, which runs in all browsers. */
  plain?: WasmSource;
  /**
   * The number of threads. By default the number of processors, at most 8. It is 1 in a page that
   * is not cross-origin isolated, because it cannot share memory with workers.
   */
  threads?: number;
}

/** The parts of a browser that are used: TypeScript declares them only together with the DOM. */
interface BrowserWorker {
  onmessage: () => void;
  onerror: (event: { message?: string }) => void;
  postMessage(message: unknown): void;
}
const browser = globalThis as unknown as {
  Worker: new (url: string) => BrowserWorker;
  crossOriginIsolated?: boolean;
  navigator: { hardwareConcurrency?: number };
};

const MAX_DEFAULT_THREADS = 8;
const ADVICE = "pass the URLs or the bytes of kernels-relaxed.wasm and kernels.wasm";

/** A module that is valid only with relaxed SIMD: a function with i8x16.relaxed_swizzle. */
const relaxedProbe = [
  [0, 97, 115, 109, 1, 0, 0, 0], // magic number and version
  [1, 5, 1, 96, 0, 1, 123], // the type () -> v128
  [3, 2, 1, 0], // one function
  [10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
].flat();

let loading: Promise<number> | null = null;

/**
 * Loads the device wasm, and makes it the default device. Returns its number of threads. By default
 * the modules are fetched from their place in the package, as seen from this file; a bundle passes
 * their URLs or bytes. Once the device is loaded, later calls load nothing. Throws if a module
 * cannot be fetched or compiled, or belongs to another version of the package. docs/browser.md
 * shows how bundlers find the URLs.
 */
export async function loadWasm(options: WasmOptions = {}): Promise<number> {
  checkOptions("loadWasm", options, ["relaxed", "plain", "threads"]);
  loading ??= load(options);
  try {
    const threads = await loading;
    setDefaultDevice("wasm");
    return threads;
  } catch (error) {
    loading = null;
    throw error;
  }
}

async function load({ relaxed, plain, threads }: WasmOptions): Promise<number> {
  const isRelaxed = WebAssembly.validate(Uint8Array.from(relaxedProbe)) && (relaxed || !plain);
  const source = (isRelaxed ? relaxed : plain) ?? findInPackage(Boolean(isRelaxed));
  const module = await compile(source);
  const starting: Promise<void>[] = [];
  const addon = instantiate(module, isRelaxed ? "relaxed" : "simd128", {
    startWorker: (task) => void starting.push(startWorker(task)),
    collectGarbage() {}, // a browser does it between tasks
  });
  const mismatch = findMismatch(addon);
  if (mismatch) throw new Error(`loadWasm: ${describe(source)}: ${mismatch}`);
  const available = Math.min(browser.navigator.hardwareConcurrency ?? 1, MAX_DEFAULT_THREADS);
  const count = addon.threads(threads ?? available);
  addon.threads(1);
  // WebKitGTK is isolated, but cannot pass shared memory to workers
  const canShare = browser.crossOriginIsolated && typeof SharedArrayBuffer === "function";
  if (canShare) await startThreads(addon, count, starting);
  setWasmAddon(addon);
  return addon.threads();
}

/** Returns the URL of a module in the package. Bundlers recognize these expressions. */
function findInPackage(isRelaxed: boolean): URL {
  try {
    return isRelaxed
      ? new URL("../../../prebuilds/wasm/kernels-relaxed.wasm", import.meta.url)
      : new URL("../../../prebuilds/wasm/kernels.wasm", import.meta.url);
  } catch (cause) {
    throw new Error(`loadWasm: the URL of this script is unknown; ${ADVICE}`, { cause });
  }
}

/** Starts worker threads, or none if the page's policy forbids them. */
async function startThreads(
  addon: WasmAddon,
  count: number,
  starting: readonly Promise<void>[],
): Promise<void> {
  try {
    addon.threads(count);
    addon.startThreads();
    await Promise.all(starting);
  } catch (error) {
    addon.threads(1);
    platform.warn(`tinybard uses one thread: ${(error as Error).message}`);
  }
}

async function compile(source: WasmSource): Promise<CompiledModule> {
  try {
    return await WebAssembly.compile(await readBytes(source));
  } catch (cause) {
    const reason = `${describe(source)}: ${(cause as Error).message}`;
    throw new Error(`loadWasm: ${reason}; ${ADVICE}`, { cause });
  }
}

async function readBytes(source: WasmSource): Promise<ArrayBuffer | Uint8Array> {
  if (typeof source !== "string" && !(source instanceof URL)) return source;
  const response = await fetch(source);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  return response.arrayBuffer();
}

/** Names a source in a message. A data URL is long. */
function describe(source: WasmSource): string {
  return typeof source === "string" || source instanceof URL ? shorten(String(source)) : "bytes";
}

/** Starts a worker thread; resolves when it runs. */
function startWorker(task: WorkerTask): Promise<void> {
  // without onmessageerror, memory that it cannot receive would leave the promise pending
  const script = `
    onmessageerror = () => { throw new Error("it cannot receive shared memory"); };
    onmessage = ({ data }) => { postMessage(null); (${serve})(data); };`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new browser.Worker(url);
  const started = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    // the error of a worker that a content security policy forbids has no message
    worker.onerror = ({ message = "worker-src must allow blob:" }) =>
      reject(new Error(`a worker did not start: ${message}`));
    worker.postMessage(task);
  });
  return started.finally(() => URL.revokeObjectURL(url));
}
