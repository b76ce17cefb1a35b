// The training data of the live run, as the dashboard shows it.

import { basename } from "node:path";
import { sequencesPerEpoch } from "../data/order.ts";
import { TokenShards } from "../data/shards/token-shards.ts";
import { toSource } from "../data/tokens.ts";
import type { Run } from "../runs/run.ts";
import type { DataInfo } from "./protocol.ts";

/** Returns the properties of a run's training data. */
export function getDataInfo({ corpus, tokens, config }: Run): DataInfo {
  const { batchSize, blockSize, gradAccum, dataOrder } = config;
  const { train } = tokens;
  const inEpoch = sequencesPerEpoch(toSource(train).parts, blockSize) * blockSize;
  const files = train instanceof TokenShards ? train.files : [];
  return {
    name: corpus,
    shards: files.map(({ file }) => basename(file)),
    tokens: dataOrder === "epochs" ? inEpoch : train.length,
    tokensPerStep: batchSize * blockSize * gradAccum,
    order: dataOrder,
  };
}
