// Builds the library that stands in for NCCL (test/native/nccl.cpp), for tests on the emulator.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Compiles the library into a folder, which NCCL_ROOT may then name. Throws if that fails. */
export function buildNCCL(root: string): void {
  const source = fileURLToPath(new URL("../../test/native/nccl.cpp", import.meta.url));
  mkdirSync(join(root, "lib"));
  const file = join(root, "lib", "libnccl.so.2");
  const flags = ["-std=c++17", "-O2", "-shared", "-fPIC", source, "-o", file, "-lrt", "-ldl"];
  const { status, stderr } = spawnSync("g++", flags, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
