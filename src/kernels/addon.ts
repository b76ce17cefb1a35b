// Tells of the native addons, which bring the kernels of the devices cpu and cuda.

/** Why the addon of a device cannot be had; empty if it can. This version has none yet. */
export function whyNoAddon(name: "cpu" | "cuda"): string {
  return `no ${name === "cpu" ? "C++" : "CUDA"} addon: this version of tinybard has none yet`;
}
