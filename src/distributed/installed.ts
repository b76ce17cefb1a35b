// The libraries that can connect processes on this machine, for `tinybard doctor`.

import { addonOf } from "../backend/platform/node.ts";
import { MPI_LIBRARIES } from "./launcher.ts";

/** Returns the MPI libraries that can be opened, such as "Open MPI 4.1.4 (libmpi.so.40)". */
export function findMPI(): string[] {
  const addon = addonOf("cpu");
  if (typeof addon === "string") return [];
  const { TINYBARD_MPI: chosen } = process.env;
  return (chosen ? [chosen] : MPI_LIBRARIES).flatMap((library) => {
    try {
      return [`${addon.processGroup.open(library)} (${library})`];
    } catch {
      return []; // it is not installed
    }
  });
}

/** Returns the version of NCCL, or the reason why it cannot be used; null without a GPU. */
export function findNCCL(): string | null {
  const addon = addonOf("cuda");
  if (typeof addon === "string") return null;
  try {
    return addon.processGroup.open();
  } catch (error) {
    return (error as Error).message;
  }
}
