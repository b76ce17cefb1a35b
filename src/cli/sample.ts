// tinybard sample: generates text with a trained model.

import { text as readAll } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { generate, type Sampling } from "../gpt/generate.ts";
import { type ChatFormat, readChatFormat } from "../runs/chat-format.ts";
import { Conversation } from "../runs/conversation.ts";
import { loadRun } from "../runs/load.ts";
import type { ChatMessage } from "../tokenizers/chat-template.ts";
import { encodePrompt } from "../tokenizers/registry.ts";
import { decodeStream, defaultPrompt, TokenizerError } from "../tokenizers/tokenizer.ts";
import type { TrainConfig } from "../train/config.ts";
import type { Pretrained } from "../train/finetune.ts";
import { type Command, deviceOption } from "./command.ts";
import { answerPrompts } from "./interactive.ts";
import { type RunFlags, runOptions, selectCheckpoint } from "./run-folder.ts";

interface Samples extends Sampling {
  numSamples: number;
  tokens: number;
  seed: number;
}

interface SampleFlags extends Samples, RunFlags {
  prompt?: string;
  interactive: boolean;
  chat?: boolean;
  system?: string;
  device: TrainConfig["device"];
}

export const sampleCommand: Command<SampleFlags> = {
  summary: "generate text with a trained model",
  options: {
    ...runOptions,
    prompt: {
      type: "string",
      help: "text to continue, or - to read it from stdin (default: a line break)",
      value: "TEXT|-",
    },
    interactive: {
      type: "boolean",
      help: "continue each line of stdin; Ctrl-C stops a sample, Ctrl-D quits",
      default: false,
    },
    chat: {
      type: "boolean",
      help: "converse by the model's chat template (default: with --interactive, if it has one)",
    },
    system: { type: "string", help: "system message of a chat", value: "TEXT" },
    numSamples: {
      type: "integer",
      help: "number of samples for each prompt, with the seeds S, S + 1, ...",
      default: 1,
      min: 1,
      value: "N",
    },
    tokens: {
      type: "integer",
      help: "number of tokens to generate",
      default: 500,
      min: 1,
      value: "N",
    },
    temperature: {
      type: "number",
      help: "sampling temperature; 0 always selects the most likely token",
      default: 1,
      min: 0,
      value: "X",
    },
    topK: {
      type: "integer",
      help: "sample only from the N most likely tokens",
      min: 1,
      value: "N",
    },
    topP: {
      type: "number",
      help: "sample only from the top tokens with total probability X (nucleus sampling)",
      min: 1e-9,
      max: 1,
    },
    seed: { type: "integer", help: "random seed", default: 1, min: 0, value: "N" },
    device: deviceOption,
  },

  async run(flags) {
    const { run, checkpoint, base, prompt, interactive, device: deviceName, ...options } = flags;
    if (interactive && prompt !== undefined)
      throw new UsageError("sample: --interactive reads prompts from stdin, so omit --prompt");
    const chosen = selectCheckpoint("sample", { run, checkpoint });
    const format = findChatFormat(chosen.run, flags);
    const sources = [chosen.checkpoint];
    const loaded = loadRun(chosen.run, device(deviceName), sources, { base });
    const conversation = format && new Conversation(loaded, format, systemMessages(flags.system));
    const respond = (text: string | undefined, seed: number, signal?: AbortSignal) =>
      conversation
        ? printAnswer(conversation, text ?? "", { ...options, seed }, signal)
        : printSamples(loaded, text, { ...options, seed }, signal);
    if (!interactive) {
      const text = prompt === "-" ? (await readAll(process.stdin)).replace(/\r?\n$/, "") : prompt;
      await respond(text, options.seed);
      return 0;
    }
    let seed = options.seed;
    const answer = async (line: string, signal: AbortSignal) => {
      try {
        await respond(line, seed, signal);
      } catch (error) {
        // such as a character that the tokenizer does not know; the next prompt may be valid
        if (!(error instanceof RangeError || error instanceof TokenizerError)) throw error;
        console.error(`tinybard: ${error.message}`);
      }
      seed += options.numSamples; // the same prompt again is continued differently
    };
    const { stdin, stdout } = process;
    const isTerminal = Boolean(stdin.isTTY && stdout.isTTY);
    return answerPrompts(answer, { input: stdin, output: stdout, isTerminal });
  },
};

/** Returns the chat format to use; null to continue prompts as they are. */
function findChatFormat(
  run: string,
  { chat, interactive, system, numSamples }: SampleFlags,
): ChatFormat | null {
  const format = (chat ?? interactive) ? readChatFormat(run) : null;
  if (chat && !format)
    throw new UsageError(`sample: ${run} has no chat template; imported instruct models have one`);
  if (system !== undefined && !format)
    throw new UsageError("sample: --system needs a model with a chat template, and --chat");
  if (format && numSamples > 1)
    throw new UsageError(`sample: --num-samples is ${numSamples}, expected 1 in a chat`);
  return format;
}

function systemMessages(content?: string): ChatMessage[] {
  return content === undefined ? [] : [{ role: "system", content }];
}

/** Prints the answer to a message, until the signal is aborted. */
async function printAnswer(
  conversation: Conversation,
  message: string,
  { tokens: maxNewTokens, seed, temperature, topK, topP }: Samples,
  signal?: AbortSignal,
): Promise<void> {
  const options = { maxNewTokens, seed, temperature, topK, topP };
  for await (const text of conversation.answer(message, options)) {
    process.stdout.write(text);
    if (signal) await setImmediate(); // lets Ctrl-C arrive
    if (signal?.aborted) break;
  }
  process.stdout.write("\n");
}

/** Printed between the samples of a prompt, as nanoGPT does. */
const SEPARATOR = "---------------";

/** Prints continuations of a prompt, until the signal is aborted. */
async function printSamples(
  { model, tokenizer }: Pretrained,
  prompt: string | undefined,
  { tokens, numSamples, seed: firstSeed, temperature, topK, topP }: Samples,
  signal?: AbortSignal,
): Promise<void> {
  const promptIds = prompt ? encodePrompt(tokenizer, prompt) : defaultPrompt(tokenizer);
  for (let i = 0; i < numSamples && !signal?.aborted; i++) {
    if (i > 0) process.stdout.write(`${SEPARATOR}\n`);
    if (prompt?.trim()) process.stdout.write(prompt);
    const seed = firstSeed + i;
    const sampling = { temperature, topK, topP };
    const ids = generate(model, { prompt: promptIds, maxNewTokens: tokens, seed, ...sampling });
    for await (const text of decodeStream(tokenizer, ids, promptIds)) {
      process.stdout.write(text);
      if (signal) await setImmediate(); // lets Ctrl-C arrive
      if (signal?.aborted) break;
    }
    process.stdout.write("\n");
  }
}
