// Loads the WebAssembly module in a browser, and starts its worker threads.

import { instantiate } from "../wasm/instance.ts";
import { type CompiledModule, serve, WebAssembly, type WorkerTask } from "../wasm/module.ts";
import { setWasmAddon } from "./browser.ts";

/** Where a module is: its URL, or its bytes. */
export type WasmSource = string | URL | ArrayBuffer | Uint8Array;

export interface WasmOptions {
  /** kernels-relaxed.wasm, for browsers with relaxed SIMD: all but WebKit. */
  relaxed: WasmSource;
  /** kernels.wasm, for the others. */
  plain: WasmSource;
  /**
   * The number of threads. By default the number of processors, at most 8. It is 1 in a page that is
   * not cross-origin isolated, because it cannot share memory with workers.
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

/** A module that is valid only with relaxed SIMD: a function with i8x16.relaxed_swizzle. */
const relaxedProbe = [
  [0, 97, 115, 109, 1, 0, 0, 0], // magic number and version
  [1, 5, 1, 96, 0, 1, 123], // the type () -> v128
  [3, 2, 1, 0], // one function
  [10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
].flat();

/**
 * Makes the device wasm available, and the fastest for `auto`. Returns its number of threads. Throws
 * if a module cannot be fetched or compiled.
 */
export async function loadWasm({ relaxed, plain, threads }: WasmOptions): Promise<number> {
  const isRelaxed = WebAssembly.validate(Uint8Array.from(relaxedProbe));
  const module = await compile(isRelaxed ? relaxed : plain);
  const starting: Promise<void>[] = [];
  const addon = instantiate(module, isRelaxed ? "relaxed" : "simd128", {
    startWorker: (task) => void starting.push(startWorker(task)),
    collectGarbage() {}, // a browser does it between tasks
  });
  const available = Math.min(browser.navigator.hardwareConcurrency ?? 1, MAX_DEFAULT_THREADS);
  addon.threads(browser.crossOriginIsolated ? (threads ?? available) : 1);
  try {
    addon.startThreads();
    await Promise.all(starting);
  } catch {
    addon.threads(1); // the page's policy forbids such workers
  }
  setWasmAddon(addon);
  return addon.threads();
}

async function compile(source: WasmSource): Promise<CompiledModule> {
  if (typeof source !== "string" && !(source instanceof URL)) return WebAssembly.compile(source);
  const response = await fetch(source);
  if (!response.ok) throw new Error(`loadWasm: ${source}: HTTP status ${response.status}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** Starts a worker thread; resolves when it runs. */
function startWorker(task: WorkerTask): Promise<void> {
  const script = `onmessage = ({ data }) => { postMessage(null); (${serve})(data); };`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new browser.Worker(url);
  return new Promise((resolve, reject) => {
    worker.onmessage = () => {
      URL.revokeObjectURL(url);
      resolve();
    };
    worker.onerror = ({ message }) => reject(new Error(`the worker did not start: ${message}`));
    worker.postMessage(task);
  });
}
