// Encodes the input in worker threads, and writes the tokens in its order.

import { tokenizerSha256 } from "../../tokenizers/io.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import { type Manifest, writeManifest } from "../shards/manifest.ts";
import { InputError } from "./content.ts";
import { getCutRule } from "./cuts.ts";
import { type EncodedPiece, throwPieceError, toEncoderInput } from "./encode.ts";
import { removeProgress } from "./folder.ts";
import { type Job, report } from "./job.ts";
import { ShardOutput } from "./output.ts";
import { type Piece, readPieces } from "./pieces.ts";
import { createPool } from "./pool.ts";

/** Encodes the rest of the input, and completes the folder. `check` is called before that. */
export async function encodeInput(
  job: Job,
  tokenizer: Tokenizer,
  check: () => void,
): Promise<Manifest> {
  const output = new ShardOutput(job, tokenizer);
  const { dtype, separator } = output;
  const hasSeparator = separator !== null;
  const pool = createPool(job.workers, {
    tokenizer: tokenizer.toJSON(),
    dtype,
    field: job.field,
    lineEnd: hasSeparator ? "" : "\n",
  });
  const rule = getCutRule(tokenizer);
  const { separator: documentSeparator } = job;
  const options = { rule, separator: documentSeparator, keepsSeparator: !hasSeparator };
  const pieces = readPieces(job.input.sections, output.position, options);

  const pending: { piece: Piece; encoded: Promise<EncodedPiece> }[] = [];
  let lastCheckpoint = performance.now();
  const writeNext = async () => {
    const { piece, encoded } = pending.shift() as (typeof pending)[number];
    output.write(piece, await encoded);
    const seconds = (performance.now() - lastCheckpoint) / 1000;
    if (seconds >= job.checkpointSeconds || job.signal?.aborted) {
      output.checkpoint();
      lastCheckpoint = performance.now();
    }
    report(job, "encoding", piece, output.tokens);
  };
  try {
    for await (const piece of pieces) {
      const encoded = pool
        .encode(toEncoderInput(piece))
        .catch((error) => throwPieceError(piece, error));
      encoded.catch(() => {}); // thrown when it is this piece's turn
      pending.push({ piece, encoded });
      if (pending.length > 2 * job.workers) await writeNext();
    }
    while (pending.length > 0) await writeNext();
    check();
    const shards = output.finish();
    if (shards.length === 0) throw new InputError("prepare: the files have no text");
    const { vocabSize } = tokenizer;
    const sha256 = tokenizerSha256(tokenizer);
    const manifest = { vocabSize, tokenizerSha256: sha256, dtype, separator, shards };
    writeManifest(job.out, manifest);
    removeProgress(job.out);
    return manifest;
  } finally {
    output.close();
    await pieces.return(undefined);
    await pool.close();
  }
}
