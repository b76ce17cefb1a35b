// The distribution that generation samples from. The page computes it itself, so that the sliders
// respond immediately. It does not depend on the DOM; a test compares it with sample() of
// gpt/generate.ts.

export interface SamplingOptions {
  temperature: number;
  /** Infinity keeps all tokens. */
  topK: number;
  topP: number;
}

/** Logits in descending order. Equal logits are ordered by token id. */
export interface RankedLogits {
  ids: Int32Array;
  logits: Float64Array;
}

/** Probabilities in the order of RankedLogits. */
export interface Distribution {
  /** After temperature, top-k and top-p. 0 for the tokens that are cut. */
  adjusted: Float64Array;
  /** The model's own distribution, softmax(logits). */
  original: Float64Array;
  /** The number of tokens that are not cut: the first ones. */
  keptCount: number;
  /** The entropies of the two distributions in bits. */
  entropy: { adjusted: number; original: number };
}

export function rankLogits(logits: ArrayLike<number>): RankedLogits {
  const ids = Int32Array.from(logits, (_, id) => id);
  ids.sort((a, b) => logits[b] - logits[a] || a - b);
  return { ids, logits: Float64Array.from(ids, (id) => logits[id]) };
}

/**
 * Returns softmax(logits / temperature), limited to the topK most likely tokens, then to the
 * smallest number of these whose probabilities sum to at least topP, and normalized again.
 * A temperature of 0 keeps only the most likely token.
 */
export function computeDistribution(
  { logits }: RankedLogits,
  { temperature, topK, topP }: SamplingOptions,
): Distribution {
  // subtracting the largest logit avoids overflow in exp()
  const original = normalize(logits.map((logit) => Math.exp(logit - logits[0])));
  const weights =
    temperature === 0
      ? Float64Array.of(1)
      : logits.subarray(0, topK).map((logit) => Math.exp((logit - logits[0]) / temperature));
  const keptCount = countTopP(weights, topP);
  const adjusted = new Float64Array(logits.length);
  adjusted.set(normalize(weights.subarray(0, keptCount)));
  return {
    adjusted,
    original,
    keptCount,
    entropy: { adjusted: computeEntropy(adjusted), original: computeEntropy(original) },
  };
}

/** Returns the smallest number of leading weights with a share of at least topP; at least one. */
function countTopP(weights: Float64Array, topP: number): number {
  const threshold = topP * sum(weights);
  let count = 1;
  let total = weights[0];
  while (count < weights.length && total < threshold) {
    total += weights[count];
    count++;
  }
  return count;
}

/** Returns -sum(p log2 p). */
function computeEntropy(probabilities: Float64Array): number {
  const bits = probabilities.reduce((total, p) => (p > 0 ? total - p * Math.log2(p) : total), 0);
  return Math.max(0, bits); // turns -0 into 0
}

function normalize(weights: Float64Array): Float64Array {
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

function sum(weights: Float64Array): number {
  return weights.reduce((total, weight) => total + weight, 0);
}
