// What may be drawn next, and how probably: that from which generation draws, worked out here so
// that a slider acts at once. Nothing of it is of the page; a test holds it to sample() of
// gpt/generate.ts.

export interface Sampling {
  temperature: number;
  /** Infinity: no cut. */
  topK: number;
  topP: number;
}

/** Logits in the order of what they promise: the greatest first, of equals that of the lower id. */
export interface Ranked {
  ids: Int32Array;
  logits: Float64Array;
}

export interface Distribution {
  /** The probability of each id of a ranking to be drawn: 0 of those that are cut. */
  drawn: Float64Array;
  /** The same by the model alone: temperature 1, no cut. */
  own: Float64Array;
  /** How many are not cut. */
  count: number;
  /** Bits: how open it is what will be drawn, and what would be by the model alone. */
  entropy: { drawn: number; own: number };
}

export function rank(logits: ArrayLike<number>): Ranked {
  const ids = Int32Array.from(logits, (_, id) => id);
  ids.sort((a, b) => logits[b] - logits[a] || a - b);
  return { ids, logits: Float64Array.from(ids, (id) => logits[id]) };
}

/**
 * softmax(logits / temperature) of the topK greatest, and of these as many as reach topP together,
 * made to sum to 1. Temperature 0 leaves the greatest alone.
 */
export function distribution(
  { logits }: Ranked,
  { temperature, topK, topP }: Sampling,
): Distribution {
  const own = normalized(logits.map((x) => Math.exp(x - logits[0])));
  const weights =
    temperature === 0
      ? Float64Array.of(1)
      : logits.subarray(0, topK).map((x) => Math.exp((x - logits[0]) / temperature));
  const enough = topP * total(weights);
  let count = 0;
  for (let sum = 0; count < weights.length && (count === 0 || sum < enough); count++)
    sum += weights[count];
  const drawn = new Float64Array(logits.length);
  drawn.set(normalized(weights.subarray(0, count)));
  return { drawn, own, count, entropy: { drawn: entropy(drawn), own: entropy(own) } };
}

/** -sum(p log2 p) */
function entropy(probabilities: Float64Array): number {
  const bits = probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
  return Math.max(0, bits); // not -0
}

function normalized(weights: Float64Array): Float64Array {
  const sum = total(weights);
  return weights.map((w) => w / sum);
}

function total(weights: Float64Array): number {
  return weights.reduce((sum, w) => sum + w, 0);
}
