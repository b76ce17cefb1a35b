// Measures the losses of a saved run: loads its text, or another one, and evaluates the model.

import type { Device } from "../backend/device.ts";
import { checkLengths } from "../data/batches.ts";
import { isText, loadData, toTokens } from "../data/load.ts";
import { closeTokens } from "../data/tokens.ts";
import { UsageError } from "../errors.ts";
import type { CheckpointName } from "../runs/choose.ts";
import { loadRun } from "../runs/load.ts";
import type { Run } from "../runs/run.ts";
import { type Losses, makeEvaluator } from "./evaluate.ts";

/**
 * Loads a text and its tokens to evaluate a run on: its own text, or `data`. Throws a UsageError if
 * the text is missing, has tokens that the run does not know, or is too short.
 */
export async function loadEvaluationText(
  { config, tokenizer }: Pick<Run, "config" | "tokenizer">,
  data = config.data,
): Promise<Pick<Run, "text" | "tokens">> {
  try {
    const loaded = await loadData(data, tokenizer);
    const { name } = loaded;
    const encode = () => toTokens(loaded, tokenizer);
    const tokens = isText(loaded) ? inText(name, encode) : encode();
    checkLengths(tokens, name, config.blockSize);
    return { text: isText(loaded) ? loaded.text : "", tokens };
  } catch (error) {
    const { message } = error as Error;
    throw new UsageError(`${message}; --data FILE names a text to evaluate on`, { cause: error });
  }
}

/** Adds the name of a text to the errors of `encode`. */
function inText<T>(name: string, encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    throw new UsageError(`data: ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Returns the losses of a run on its own text, or on the text `data`. */
export async function measureRun(
  out: string,
  options: {
    iters: number;
    data?: string;
    device: Device;
    checkpoint?: CheckpointName;
    base?: string;
  },
): Promise<Losses & Pick<Run, "text" | "tokens" | "tokenizer"> & { step: number }> {
  const { device, iters, data, checkpoint, base } = options;
  const names = checkpoint && [checkpoint];
  const { config, tokenizer, model, state } = loadRun(out, device, names, { base });
  const { text, tokens } = await loadEvaluationText({ config, tokenizer }, data);
  const measured = { config: { ...config, evalIters: iters }, device, model, tokens };
  try {
    const losses = (await makeEvaluator(measured)(state.step)) as Losses; // nothing stops it
    return { step: state.step, ...losses, text, tokens, tokenizer };
  } finally {
    closeTokens(tokens.train, tokens.val);
  }
}
