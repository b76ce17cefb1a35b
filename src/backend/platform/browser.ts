// The platform of browsers, which have no native addons.

import type { WasmAddon } from "../addon.ts";
import type { Platform } from "./platform.ts";

/** A MessagePort of a browser: its handlers are not Node's. */
interface BrowserPort {
  onmessage: () => void;
  postMessage(message: unknown): void;
  close(): void;
}

let wasmAddon: WasmAddon | string = "call await loadWasm() first";

/** Makes the device wasm available. */
export function setWasmAddon(addon: WasmAddon): void {
  wasmAddon = addon;
}

export const platform: Platform = {
  env: {},
  fastDevice: "wasm",
  addonOf: ((name: string) =>
    name === "wasm" ? wasmAddon : "native addons do not run in a browser") as Platform["addonOf"],
  warn(message) {
    if ("document" in globalThis) console.warn(message);
  },
  makeTuning: () => null,
  nextTask: () =>
    new Promise((resolve) => {
      // setTimeout() would wait for 4 ms
      const { port1, port2 } = new MessageChannel() as unknown as Record<string, BrowserPort>;
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }),
};
