// Reads the prompts of `sample --interactive`: lines typed in a terminal, or piped into stdin.

import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** The input of prompts, and the output on which a terminal shows what is typed. */
export interface PromptStreams {
  input: Readable;
  output: Writable;
  /** The input is a terminal: lines can be edited, and Ctrl-C arrives as a character. */
  isTerminal: boolean;
}

/** The exit code of Ctrl-C, 128 + SIGINT. */
const INTERRUPTED = 130;

/**
 * Calls `answer` for each line until the input ends. Ctrl-C aborts the signal of the answer in
 * progress, and while no answer is in progress ends the input. Returns the exit code.
 */
export async function answerPrompts(
  answer: (prompt: string, signal: AbortSignal) => Promise<void>,
  { input, output, isTerminal }: PromptStreams,
): Promise<number> {
  const lines = createInterface({
    input,
    output: isTerminal ? output : undefined, // so that piped prompts are not repeated
    terminal: isTerminal,
    prompt: isTerminal ? "> " : "",
  });
  let code = 0;
  let running: AbortController | null = null;
  lines.on("SIGINT", () => {
    if (running) {
      running.abort();
      return;
    }
    code = INTERRUPTED;
    lines.close();
  });
  lines.prompt();
  for await (const line of lines) {
    if (code !== 0) break;
    running = new AbortController();
    if (line !== "") await answer(line, running.signal);
    running = null;
    lines.prompt();
  }
  lines.close();
  if (isTerminal) output.write("\n");
  return code;
}
