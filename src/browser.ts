// The public API of tinybard in browsers: that of Node without what needs a file system.

export { loadWasm, type WasmOptions, type WasmSource } from "./backend/platform/browser-wasm.ts";
export * from "./common.ts";
export {
  loadSafetensors,
  type SafetensorsSource,
  saveSafetensors,
} from "./files/safetensors-blob.ts";
export type { TensorDict } from "./files/safetensors-format.ts";
export { SafetensorsError } from "./files/safetensors-header.ts";
