// The prompts of `sample --interactive`, with streams in place of the terminal.

import { PassThrough } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { answerPrompts } from "#src/cli/interactive.js";

const test = suite("cli/interactive");

function makeStreams(isTerminal: boolean) {
  return { input: new PassThrough(), output: new PassThrough(), isTerminal };
}

test("each piped line is answered in order, empty lines are not, and nothing is echoed", async () => {
  const streams = makeStreams(false);
  const answered: string[] = [];
  streams.input.end("To be\n\nor not\nthe last line");
  const code = await answerPrompts(async (line) => void answered.push(line), streams);
  assert.is(code, 0);
  assert.equal(answered, ["To be", "or not", "the last line"]);
  assert.is(streams.output.read(), null);
});

test("Ctrl-C aborts the answer in progress, then ends the input", async () => {
  const streams = makeStreams(true);
  streams.input.write("first\r");
  const answered: string[] = [];
  const code = await answerPrompts(async (line, signal) => {
    answered.push(line);
    if (line === "second") {
      setImmediate().then(() => streams.input.write("\x03")); // no answer is in progress by then
      return;
    }
    streams.input.write("\x03");
    while (!signal.aborted) await setImmediate();
    streams.input.write("second\r");
  }, streams);
  assert.is(code, 130);
  assert.equal(answered, ["first", "second"]);
});

test("Ctrl-D ends the input of a terminal, which shows the prompt", async () => {
  const streams = makeStreams(true);
  streams.input.write("\x04");
  assert.is(await answerPrompts(async () => {}, streams), 0);
  assert.ok(String(streams.output.read()).includes("> "));
});

test("an error of an answer ends the prompts", async () => {
  const streams = makeStreams(false);
  streams.input.end("a\nb\n");
  const answer = async () => {
    throw new TypeError("failed");
  };
  let message = "";
  await answerPrompts(answer, streams).catch((error: Error) => {
    message = error.message;
  });
  assert.is(message, "failed");
});

test.run();
