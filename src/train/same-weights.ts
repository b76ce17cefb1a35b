// Verifies that the ranks of a run still have the same weights. They compute the same updates from
// the same gradients; only a faulty processor, memory or library could make them differ.

import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Communicator } from "../distributed/communicator.ts";
import { describeRank } from "../distributed/places.ts";
import { markShared } from "../distributed/shared-errors.ts";
import type { LanguageModel } from "../gpt/language-model.ts";

/** Throws an Error on every rank if the trained weights of one differ from rank 0's. Collective. */
export function checkSameWeights(
  model: LanguageModel,
  step: number,
  communicator: Communicator,
): void {
  if (communicator.size === 1) return;
  const ranks = communicator.gather(JSON.stringify([hashWeights(model), hostname()]));
  const [[expected], ...others] = ranks.map((text) => JSON.parse(text) as [string, string]);
  const wrong = others.findIndex(([hash]) => hash !== expected);
  if (wrong < 0) return;
  const [, host] = others[wrong];
  const other = describeRank({ rank: wrong + 1, size: communicator.size }, host);
  throw markShared(
    new Error(
      `step ${step}: ${other} has other weights than rank 0: its processor, memory or ` +
        "libraries compute differently. The last checkpoint predates this; resume from it " +
        "without that host",
    ),
  );
}

function hashWeights(model: LanguageModel): string {
  const hash = createHash("sha256");
  for (const w of model.parameters()) if (w.requiresGrad) hash.update(w.data());
  return hash.digest("hex");
}
