// Tokens of a split, as batches see them: an array in memory, or a source such as shards on disk.

/** Tokens that are read in parts. */
export interface TokenSource {
  readonly length: number;
  /** The parts that epochs shuffle, in order: their numbers of tokens, which add up to `length`. */
  readonly parts: readonly number[];
  /** The bytes of the text in UTF-8, if they are known. */
  readonly textBytes?: number | null;
  /** Copies `count` tokens from position `start` to `target`, from its index `offset`. */
  read(start: number, count: number, target: Int32Array, offset: number): void;
  /** Begins to read tokens in the background, so that read() need not wait for the disk. */
  prefetch?(start: number, count: number): void;
  /** Closes the files, until read() opens them again. Windows cannot delete open files. */
  close?(): void;
}

/** The tokens of a split. */
export type Tokens = Int32Array | TokenSource;

/** The tokens of both splits. */
export interface SplitTokens {
  readonly train: Tokens;
  readonly val: Tokens;
}

/** Closes the files of tokens that are not used for some time. */
export function closeTokens(...splits: Tokens[]): void {
  for (const tokens of splits) if (!(tokens instanceof Int32Array)) tokens.close?.();
}

/** Returns the last index of ascending `starts`, the first of which is 0, at most `position`. */
export function findPart(starts: readonly number[], position: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle] <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Returns an array as a source of one part. */
export function toSource(tokens: Tokens): TokenSource {
  if (!(tokens instanceof Int32Array)) return tokens;
  return {
    length: tokens.length,
    parts: [tokens.length],
    read(start, count, target, offset) {
      target.set(tokens.subarray(start, start + count), offset);
    },
  };
}
