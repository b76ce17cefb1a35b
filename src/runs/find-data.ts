// The data of a run that is resumed: it may have moved.

import { dataSha256, isText, loadData, type TrainingData } from "../data/load.ts";
import type { OnPrepareProgress } from "../data/prepare/job.ts";
import { UsageError } from "../errors.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";

/** Loads the text or the shards of a run from the first place with the recorded checksum. */
export async function findData(
  out: string,
  places: (string | undefined)[],
  checksum: string,
  tokenizer: Tokenizer,
  onProgress: OnPrepareProgress | undefined,
): Promise<TrainingData> {
  const problems: string[] = [];
  let interruption: unknown; // an error of onProgress ends the search
  const report: OnPrepareProgress = (progress) => {
    try {
      onProgress?.(progress);
    } catch (error) {
      interruption = error;
      throw error;
    }
  };
  for (const place of new Set(places)) {
    try {
      const data = await loadData(place, tokenizer, report);
      if (dataSha256(data) === checksum) return data;
      const found = isText(data) ? `${data.name} is not the text` : `${data.name}: not the shards`;
      problems.push(`${found} that ${out} was trained on`);
    } catch (error) {
      if (error === interruption) throw error;
      problems.push((error as Error).message);
    }
  }
  throw new UsageError(`resume: ${problems[0]}; --data FILE names the place of the same text`);
}
