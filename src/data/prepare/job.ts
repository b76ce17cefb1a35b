// What the phases of prepareShards() share: reading the input for the tokenizer, and encoding it.

import type { InputSections } from "./input.ts";
import type { Piece } from "./pieces.ts";

/** The progress of prepareShards(). */
export interface PrepareProgress {
  readonly phase:
    | "waiting for another training"
    | "counting characters"
    | "reading for the tokenizer"
    | "training the tokenizer"
    | "encoding";
  /** The bytes that have been read in this phase, and the sizes of all files: 0 for a wait. */
  readonly done: number;
  readonly total: number;
  /** The tokens that have been written in this phase. */
  readonly tokens: number;
}

/** Called while prepareShards() works. */
export type OnPrepareProgress = (progress: PrepareProgress) => void;

/** The input and the settings of one call. */
export interface Job {
  readonly out: string;
  readonly input: InputSections;
  /** The text between documents, in UTF-8. */
  readonly separator: Uint8Array | null;
  readonly field: string;
  readonly shardTokens: number;
  readonly tokenizerSample: number | undefined;
  readonly workers: number;
  readonly checkpointSeconds: number;
  readonly onProgress?: OnPrepareProgress;
  readonly signal?: AbortSignal;
}

/** Reports that a piece has been processed. Throws the reason if the call has been aborted. */
export function report(
  { input, onProgress, signal }: Job,
  phase: PrepareProgress["phase"],
  { position, read }: Pick<Piece, "position" | "read">,
  tokens = 0,
): void {
  const done = input.bytesBefore[position.section] + read;
  onProgress?.({ phase, done, total: input.bytes, tokens });
  signal?.throwIfAborted();
}
