// The end of a training run: a sample, the size of the model, the best loss, and what to do next.

import { generate } from "../gpt/generate.ts";
import { countParameters } from "../gpt/language-model.ts";
import { formatCommand, quoteArgument } from "../installation.ts";
import { chooseCheckpoint } from "../runs/choose.ts";
import type { Run } from "../runs/run.ts";
import { decodeStream, defaultPrompt } from "../tokenizers/tokenizer.ts";
import type { TrainResult } from "../train/loop.ts";
import { formatCount } from "./count.ts";
import { listFigures } from "./figures.ts";
import { formatTextLoss } from "./losses.ts";
import { formatDuration } from "./progress.ts";

/** Prints the summary of a run that has reached its last step. */
export async function printSummary(result: TrainResult): Promise<void> {
  const { model, tokenizer, out, config, valLoss, state } = result;
  for (const line of formatTextLoss(valLoss, result)) console.log(line);
  console.log("\nsample:");
  const prompt = defaultPrompt(tokenizer);
  const ids = generate(model, { prompt, maxNewTokens: 200, seed: config.seed });
  for await (const text of decodeStream(tokenizer, ids, prompt)) process.stdout.write(text);
  const count = countParameters(model);
  const millions = (count / 1e6).toFixed(6);
  const megabytes = ((4 * count) / 1e6).toFixed(2);
  console.log(`\n\n${millions} M parameters, model size ${megabytes} MB`);
  const time = formatDuration(1000 * state.elapsedSeconds);
  console.log(`trained ${formatCount(state.step, "step")} in ${time}; ${describeBest(result)}`);
  for (const line of listFigures(result)) console.log(line);
  console.log(`files in ${out}: best/ and last/ (checkpoints), metrics.jsonl, loss.svg`);
  console.log(`try: ${formatCommand("sample", `--run ${quoteArgument(out)}`)}`);
  console.log(`train longer: ${formatLonger(result)}`);
}

/** Describes the best checkpoint: `lowest val loss 1.6464 at step 9000`. */
function describeBest({ out, valLoss, bestValLoss }: TrainResult): string {
  try {
    const { step, evaluation } = chooseCheckpoint(out, "best").state;
    const loss = `lowest val loss ${(evaluation?.valLoss ?? bestValLoss)?.toFixed(4)}`;
    const isUntrained = step === 0 && valLoss !== evaluation?.valLoss;
    return `${loss} at step ${step}${isUntrained ? ", before training" : ""}`;
  } catch (error) {
    return (error as Error).message; // for example, best/ has been deleted
  }
}

/** Formats the command that resumes a run, with more options if they are passed. */
export function formatResume(out: string, options = ""): string {
  return formatCommand("train", `--resume ${quoteArgument(out)}${options}`);
}

/** Formats the command that trains a run for twice as long. */
export function formatLonger({ out, config }: Run): string {
  const { maxIters, maxSeconds } = config;
  const time = maxSeconds === undefined ? "" : ` --max-seconds ${2 * maxSeconds}`;
  const steps = maxIters === Infinity ? "" : ` --max-iters ${2 * Math.max(1, maxIters)}`;
  return formatResume(out, time + steps);
}
