// Batches of training text: random sequences of tokens as inputs, and those one token later as
// targets. The text is in the device's memory, and batches are sampled there.

import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import { philoxCounter, type RngCounter, streams } from "../random.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { type DataOrder, sequencesPerEpoch } from "./order.ts";
import { type SplitTokens, toSource } from "./tokens.ts";

/**
 * Splits a text into 90 % for training and 10 % for validation. Like nanoGPT, it counts characters
 * (code points), so that the split is the same for every tokenizer.
 */
export function splitText(text: string): { train: string; val: string } {
  const target = Math.floor(0.9 * countCharacters(text));
  let cut = 0;
  for (let n = 0; n < target; n++) cut += isPair(text, cut) ? 2 : 1;
  return { train: text.slice(0, cut), val: text.slice(cut) };
}

/** Returns the number of characters (code points) of a text. */
export function countCharacters(text: string): number {
  let pairs = 0;
  for (let i = 0; i < text.length; i++) {
    if (isPair(text, i)) pairs++;
  }
  return text.length - pairs;
}

/** Returns the number of bytes of a text in UTF-8, where a lone surrogate is U+FFFD. */
export function countBytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    if (isPair(text, i)) bytes -= 2; // the two surrogates have 4 bytes together
  }
  return bytes;
}

/** Returns true if the character at an index is a surrogate pair. */
function isPair(text: string, index: number): boolean {
  return (text.codePointAt(index) as number) > 0xffff;
}

/** Returns the tokens of both splits of a text. */
export function splitTokens(
  text: string,
  tokenizer: Tokenizer,
): { train: Int32Array; val: Int32Array } {
  const { train, val } = splitText(text);
  return {
    train: tokenizer.encodeToInt32(train),
    val: tokenizer.encodeToInt32(val),
  };
}

/**
 * Throws a UsageError if a split of the data `name` is too short for sequences of T tokens, or for
 * epochs, whose sequences do not cross shards, if all training shards are.
 */
export function checkLengths(
  tokens: SplitTokens,
  name: string,
  T: number,
  order: DataOrder = "random",
): void {
  for (const split of ["train", "val"] as const) {
    const { length } = tokens[split];
    if (length > T) continue;
    const found = `the ${split} split of ${name} has ${length} tokens`;
    throw new UsageError(`data: ${found}, expected more than blockSize, ${T}`);
  }
  if (order === "epochs" && sequencesPerEpoch(toSource(tokens.train).parts, T) === 0)
    throw new UsageError(
      `data: no training shard of ${name} has more tokens than blockSize, ${T}; ` +
        "use a smaller one, or --data-order random",
    );
}

/** Returns an RNG counter as a tensor: [4] of i32. */
export function toCounterTensor(counter: Omit<RngCounter, "stream">, device: Device): Tensor {
  return tensor(philoxCounter(counter), { device });
}

/**
 * Samples B sequences of T tokens, and for each token the one that follows it: x, y [B, T] of i32.
 * tokens [n] of i32; `counter` [4] determines where the sequences start: 32 random bits r map to
 * floor(r (n - T) / 2^32).
 */
export function sampleBatch(
  tokens: Tensor,
  counter: Tensor,
  stream: RngCounter["stream"],
  [B, T]: readonly [B: number, T: number],
): [x: Tensor, y: Tensor] {
  const x = empty(tokens, [B, T]);
  const y = empty(tokens, [B, T]);
  tokens.device.kernels.sampleBatch(
    tokens.ints,
    counter.ints,
    x.ints,
    y.ints,
    tokens.size,
    B,
    T,
    streams[stream],
  );
  return [x, y];
}
