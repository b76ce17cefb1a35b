// The result of train(), and the figures that describe a run at its end.

import { countParameters } from "../gpt/language-model.ts";
import { formatCount, formatFields, inspectSymbol } from "../printing.ts";
import type { Run } from "../runs/run.ts";
import { lossOfText } from "./evaluate.ts";
import { flopsPerToken, measurePeak } from "./mfu.ts";

/** The figures of a run up to its last step. */
export interface TrainFigures {
  /** The losses at the last step; null if they have not been evaluated. */
  trainLoss: number | null;
  /** The validation loss at the last step; null if it has not been evaluated. */
  valLoss: number | null;
  /** The lowest validation loss of all evaluations. */
  bestValLoss: number | null;
  /** The validation loss per character of the text in bits, for comparing tokenizers. */
  bitsPerCharacter: number | null;
  /** The same per byte of the text in UTF-8. Of token shards, both are estimates. */
  bitsPerByte: number | null;
  /**
   * The time of training in seconds, without evaluations, checkpoints and pauses. Of a run without
   * a time budget that was resumed, they count for the part before.
   */
  seconds: number;
  /** The number of steps; those before a resume count, as in `seconds`. */
  steps: number;
  /** The number of tokens in the batches of all steps. */
  tokens: number;
  /** The speed of training; null if no step was taken. */
  tokensPerSecond: number | null;
  /** Model FLOPs utilization from 0 to 1. */
  mfu: number | null;
  /** The largest resident set size of the process, in bytes. */
  peakMemory: number;
  /** The most memory of tensors on a device that has its own memory, in bytes. */
  peakDeviceMemory: number | null;
}

/** Result of train(): the run with its last losses. */
export interface TrainResult extends Run {
  /** True if hooks.stop() ended the run before its last step; it can be resumed. */
  stopped: boolean;
  /** The training loss at the last step; null if it has not been evaluated. */
  trainLoss: number | null;
  /** The validation loss at the last step; null if it has not been evaluated. */
  valLoss: number | null;
  /** The lowest validation loss of all evaluations. */
  bestValLoss: number | null;
  /** The line that `train --json` prints at the end. The first read measures the peak of MFU. */
  readonly figures: TrainFigures;
}

/** Returns the result of a run that ends now, after `seconds` of training. */
export function makeResult(
  run: Run,
  seconds: number,
  end: Pick<TrainResult, "stopped" | "bestValLoss">,
): TrainResult {
  const { trainLoss = null, valLoss = null } = run.state.evaluation ?? {};
  const losses = { trainLoss, valLoss, bestValLoss: end.bestValLoss };
  const peakMemory = 1024 * process.resourceUsage().maxRSS;
  const peakDeviceMemory = run.device.memory.isHost ? null : run.device.pool.peakBytes;
  let figures: TrainFigures | null = null;
  const describe = () => {
    const { out, config, corpus, tokenizer, device, model, state } = run;
    const parameters = formatCount(countParameters(model), "parameter");
    return [
      "TrainResult(",
      `  ${formatFields({ step: state.step, stopped: end.stopped, ...losses })}`,
      `  model: ${model.constructor.name}, ${parameters}, on ${device}`,
      `  text: ${corpus}, ${tokenizer}, blockSize=${config.blockSize}`,
      `  out: ${out}`,
      "  also: config, state, optimizer, tokens, figures, ...",
      ")",
    ].join("\n");
  };
  const result = {
    ...run,
    ...losses,
    stopped: end.stopped,
    get figures() {
      figures ??= {
        ...losses,
        ...computeFigures(run, seconds, valLoss),
        peakMemory,
        peakDeviceMemory,
      };
      return figures;
    },
  };
  return Object.defineProperty(result, inspectSymbol, { value: describe });
}

function computeFigures(run: Run, seconds: number, valLoss: number | null) {
  const { config, state, model } = run;
  const tokens = state.step * config.gradAccum * config.batchSize * config.blockSize;
  const tokensPerSecond = seconds > 0 ? tokens / seconds : null;
  const flops = (tokensPerSecond ?? 0) * flopsPerToken(countParameters(model), config);
  const textLoss = valLoss === null ? null : lossOfText(valLoss, run);
  return {
    bitsPerCharacter: textLoss && textLoss.perCharacter / Math.LN2,
    bitsPerByte: textLoss && textLoss.bitsPerByte,
    seconds,
    steps: state.step,
    tokens,
    tokensPerSecond,
    mfu: tokensPerSecond === null ? null : flops / measurePeak(run),
  };
}
