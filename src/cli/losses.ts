// Formats losses for train and eval.

import type { Run } from "../runs/run.ts";
import { CharTokenizer } from "../tokenizers/char.ts";
import { WordTokenizer } from "../tokenizers/word.ts";
import { lossOfText, readSample } from "../train/evaluate.ts";

/** Formats an evaluation. Programs may parse this line. */
export function formatLosses(result: { step: number; trainLoss: number; valLoss: number }): string {
  const trainLoss = result.trainLoss.toFixed(4);
  const valLoss = result.valLoss.toFixed(4);
  return `step ${result.step}: train loss ${trainLoss}, val loss ${valLoss}`;
}

/**
 * Formats the validation loss per character and in bits per byte, which can be compared between
 * tokenizers. Returns no lines for a character tokenizer. For a word tokenizer, adds the share of
 * unknown words, whose spelling the loss does not count.
 */
export function formatTextLoss(
  valLoss: number | null,
  run: Pick<Run, "text" | "tokens" | "tokenizer">,
): string[] {
  const { tokenizer, tokens } = run;
  if (valLoss === null || tokenizer instanceof CharTokenizer) return [];
  const { perCharacter, bitsPerByte } = lossOfText(valLoss, run);
  const { val } = tokens;
  const losses =
    val instanceof Int32Array
      ? `per character: ${perCharacter.toFixed(4)}, ${bitsPerByte.toFixed(4)} bits per byte`
      : `in bits per byte: ${bitsPerByte.toFixed(4)}`;
  if (!(tokenizer instanceof WordTokenizer)) return [`val loss ${losses}`];
  const sample = readSample(val);
  const unknown = sample.filter((id) => id === WordTokenizer.unknown).length;
  const percent = ((100 * unknown) / sample.length).toFixed(1);
  const note = `${percent} % of the tokens are <unk>, whose spelling is not counted`;
  return [`val loss ${losses} (${note})`];
}
