// The comparison of what must be the same on all ranks: versions, backends, instruction sets.

import { UsageError } from "../errors.ts";
import type { Communicator } from "./communicator.ts";

/**
 * Compares facts such as { simd: "avx512" } across all ranks, which pass the same keys. Throws a
 * UsageError with the same message on every rank if one differs from rank 0's; `host` is only shown
 * in the message. Collective.
 */
export function checkSameOnAllRanks(
  communicator: Communicator,
  host: string,
  facts: Readonly<Record<string, string>>,
): void {
  if (communicator.size === 1) return;
  const all = communicator
    .gather(JSON.stringify({ host, facts }))
    .map((text) => JSON.parse(text) as { host: string; facts: Record<string, string> });
  const [first] = all;
  for (const [rank, { host: otherHost, facts: others }] of all.entries()) {
    for (const [name, value] of Object.entries(first.facts)) {
      if (others[name] === value) continue;
      throw new UsageError(
        `rank ${rank} of ${communicator.size} (${otherHost}) has ${name} ${others[name]}, ` +
          `rank 0 (${first.host}) has ${value}; all must have the same${adviceFor(name)}`,
      );
    }
  }
}

function adviceFor(name: string): string {
  if (name === "simd") return ": set TINYBARD_SIMD=avx2 for all, or use hosts of one kind";
  return name === "version" ? ": install one version on every host" : "";
}
