// What a loss per token means for the text: a line that train and eval print below the losses.

import type { Run } from "../runs/run.ts";
import { CharTokenizer } from "../tokenizers/char.ts";
import { WordTokenizer } from "../tokenizers/word.ts";
import { lossOfText } from "../train/evaluate.ts";

/**
 * The validation loss per character, and how much of the text is unknown and so told too easily;
 * nothing where tokens are characters.
 */
export function textLossLines(
  valLoss: number | null,
  run: Pick<Run, "text" | "tokens" | "tokenizer">,
): string[] {
  const { tokenizer, tokens } = run;
  if (valLoss === null || tokenizer instanceof CharTokenizer) return [];
  const { perCharacter, bitsPerByte } = lossOfText(valLoss, run);
  const unknown = tokens.val.filter((id) => id === WordTokenizer.unknown).length;
  const share = ((100 * unknown) / tokens.val.length).toFixed(1);
  const isWords = tokenizer instanceof WordTokenizer;
  const note = isWords ? ` (${share} % of the tokens are <unk>, whose letters count as known)` : "";
  const figures = `${perCharacter.toFixed(4)}, ${bitsPerByte.toFixed(4)} bits per byte`;
  return [`val loss per character: ${figures}${note}`];
}
