// Builds libraries that take the place of others: test/native/nccl.cpp that of NCCL, and
// test/native/mpi5.cpp that of MPI 5.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Compiles the one of NCCL into a folder, which NCCL_ROOT may then name. Throws if that fails. */
export function buildNCCL(root: string): void {
  mkdirSync(join(root, "lib"));
  compile("nccl.cpp", join(root, "lib", "libnccl.so.2"));
}

/** Compiles the one of MPI 5, which needs MPICH to run. Returns its path, for TINYBARD_MPI. */
export function buildMPI5(root: string): string {
  const file = join(root, "libmpi_abi.so.0");
  compile("mpi5.cpp", file);
  return file;
}

function compile(source: string, file: string): void {
  const path = fileURLToPath(new URL(`../../test/native/${source}`, import.meta.url));
  const flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", path, "-o", file];
  const { status, stderr } = spawnSync("g++", [...flags, "-lrt", "-ldl"], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
