// Solutions to lesson 0
//
// How much a rare context should count, and how rare sequences of words are.
//
// Time: 15 seconds.

import { loadCorpus } from "tinybard";
import { NGrams } from "../00-language-models.ts";
import { percent, say } from "../print.ts";
import { tokenize } from "../training.ts";

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const trainText = tokenizer.decode(train);
  const valText = tokenizer.decode(val);

  say(`1. With 0.1, a context that occurred once is trusted almost completely: its one continuation
    gets a probability near 1, and all others cost much. Shorter contexts are then better. With 100,
    a long context counts only if it is frequent, so that a longer n does no harm.`);
  const bestByStrength = [0.1, 5, 100].map((strength) => {
    const ngrams = new NGrams(trainText, 7, tokenizer.characters, strength);
    const losses = [1, 2, 3, 4, 5, 6, 7].map((n) => ngrams.loss(valText.slice(0, 20_000), n));
    const loss = Math.min(...losses);
    const n = losses.indexOf(loss) + 1;
    console.log(`strength ${strength}: the best n is ${n}, with loss ${loss.toFixed(3)}`);
    return { n, loss };
  });

  say(`2. Most sequences of three words are new, even those of a text by the same author. Counting
    words needs far more text than exists, which is why n-grams of words were replaced by
    networks.`);
  const newParts = [1, 2, 3].map((n) => {
    const seen = new Set(sequences(trainText, n));
    const found = sequences(valText, n);
    const part = found.filter((sequence) => !seen.has(sequence)).length / found.length;
    console.log(`${n} word(s): ${percent(part)} of the sequences are new`);
    return part;
  });
  return { bestByStrength, newParts };
}

/** Returns all sequences of n words of a text, in lower case. */
function sequences(text: string, n: number): string[] {
  const words = text.toLowerCase().match(/[a-z']+/g) ?? [];
  return Array.from({ length: words.length - n + 1 }, (_, i) => words.slice(i, i + n).join(" "));
}
