// Lesson 18: From this model to ChatGPT
//
// A GPT that has read a text continues texts. ChatGPT answers questions. It is the same kind of
// model, after three stages of training:
//
// Pre-training: predict the next token of a large part of the internet, trillions of tokens, with
// billions of parameters, for weeks on thousands of GPUs. Here: a thousandth of a thousandth of
// that, and some seconds. The result completes any text, also with more questions.
//
// Fine-tuning on dialogues: the same loss on written examples of questions and answers, thousands
// of them, but only on the tokens of the answers. The result answers.
//
// Reinforcement learning from human feedback (RLHF): people compare answers, a reward model learns
// to predict their choice, and the language model is trained to write answers with a high reward.
//
// Time: 5 seconds.

import {
  CharTokenizer,
  crossEntropy,
  GPT,
  generate,
  loadCorpus,
  manualSeed,
  noGrad,
  optim,
  rand,
  scope,
  type Tensor,
  tensor,
} from "tinybard";
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { percent, say } from "./print.ts";
import { countParameters, estimateLoss, fit, tinyGPT, tokenize } from "./training.ts";

/** A question and the answer to it. */
export type Dialogue = readonly [question: string, answer: string];

const facts: readonly Dialogue[] = [
  ["what is the sea?", "salt water"],
  ["what is a whale?", "an animal"],
  ["what is a ship?", "a large boat"],
  ["who is a captain?", "the head of a ship"],
  ["what do you love?", "I love to eat"],
  ["what color is snow?", "white"],
  ["what color is grass?", "green"],
  ["how are you?", "very well"],
];

/** Each answer twice: with a period and with an exclamation mark. */
export const dialogues: readonly Dialogue[] = facts.flatMap(([question, answer]) => [
  [question, `${answer}.`] as const,
  [question, `${answer}!`] as const,
]);

export const questions = facts.map(([question]) => question);

/** Returns the text up to the answer. The newline after an answer ends it. */
export function toPrompt(question: string): string {
  return `Q: ${question}\nA: `;
}

/** Returns inputs and targets, both (1, T). Targets in the prompt are -100: they do not count. */
export function encodeDialogue(
  tokenizer: CharTokenizer,
  [question, answer]: Dialogue,
  maskPrompt = true,
): [x: Tensor, y: Tensor] {
  const prompt = tokenizer.encode(toPrompt(question));
  const ids = [...prompt, ...tokenizer.encode(`${answer}\n`)];
  const targets = ids.slice(1).map((id, i) => (maskPrompt && i < prompt.length - 1 ? -100 : id));
  return [tensor([ids.slice(0, -1)], { dtype: "i32" }), tensor([targets], { dtype: "i32" })];
}

/** Trains on dialogues in a fixed order, one in each step. */
export function fineTune(
  model: GPT,
  tokenizer: CharTokenizer,
  { steps = 400, lr = 2e-3, maskPrompt = true } = {},
): void {
  const optimizer = new optim.AdamW(model.parameters(), { lr });
  for (let step = 0; step < steps; step++) {
    optimizer.lr = lr * (1 - step / steps);
    const dialogue = dialogues[(step * 5) % dialogues.length]; // 5 and 16 have no common factor
    const [x, y] = encodeDialogue(tokenizer, dialogue, maskPrompt);
    scope(() => {
      model.forward(x, y).loss?.backward();
      optimizer.step();
    });
    optimizer.zeroGrad();
  }
}

/** Returns the model's answer to a question; temperature 0 takes the most likely characters. */
export async function answer(
  model: GPT,
  tokenizer: CharTokenizer,
  question: string,
  { temperature = 0, seed = 0 } = {},
): Promise<string> {
  const prompt = tokenizer.encode(toPrompt(question));
  const stop = tokenizer.encode("\n");
  const ids: number[] = [];
  const options = { prompt, stop, temperature, seed, maxNewTokens: 24 };
  for await (const id of generate(model, options)) ids.push(id);
  return tokenizer.decode(ids);
}

/** Returns whether an answer is one of those in the dialogues. */
export function isRight(question: string, answer: string): boolean {
  return dialogues.some(([q, a]) => q === question && a === answer);
}

/**
 * Policy gradient (REINFORCE, Williams 1992): samples an answer to each question, and makes it more
 * likely in proportion to its advantage, the score minus the mean score of the step. The score is
 * the reward minus beta log(p / pReference), a penalty for answers that have become more likely
 * than they were before. Returns the mean reward of each step.
 */
export async function reinforce(
  model: GPT,
  tokenizer: CharTokenizer,
  reward: (answer: string) => number,
  { steps = 100, lr = 5e-4, beta = 0.1 } = {},
): Promise<number[]> {
  const reference = new GPT(model.config);
  reference.loadStateDict(model.stateDict());
  const optimizer = new optim.AdamW(model.parameters(), { lr, weightDecay: 0 });
  const seeds = rand([steps * questions.length]).data();
  const rewards: number[] = [];
  for (let step = 0; step < steps; step++) {
    const samples: { question: string; text: string; reward: number }[] = [];
    for (const [i, question] of questions.entries()) {
      const seed = Math.floor(1e6 * seeds[step * questions.length + i]);
      const text = await answer(model, tokenizer, question, { temperature: 1, seed });
      samples.push({ question, text, reward: reward(text) });
    }
    scope(() => {
      const scored = samples.map(({ question, text, reward }) => {
        const dialogue = encodeDialogue(tokenizer, [question, text]);
        const surprise = measureSurprise(model, dialogue, text);
        const before = noGrad(() => measureSurprise(reference, dialogue, text).item());
        return { surprise, score: reward - beta * (before - surprise.item()) };
      });
      const mean = average(scored.map(({ score }) => score));
      for (const { surprise, score } of scored)
        surprise.mul((score - mean) / samples.length).backward();
      optimizer.step();
    });
    optimizer.zeroGrad();
    rewards.push(average(samples.map((sample) => sample.reward)));
  }
  return rewards;
}

/** Returns -log p of an answer: the mean over its characters and newline, times their number. */
function measureSurprise(model: GPT, [x, y]: [x: Tensor, y: Tensor], text: string): Tensor {
  const logits = model.forward(x).logits as Tensor; // (1, T, V)
  return crossEntropy(logits, y).mul(text.length + 1);
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Returns a GPT that has read `steps` batches of the corpus, and the tokenizer for dialogues. */
export async function pretrain(steps = 500) {
  const { name, text } = await loadCorpus();
  const tokenizer = CharTokenizer.train(text + dialogues.flat().join("") + toPrompt(""));
  const { train, val } = tokenize(text, tokenizer);
  manualSeed(18);
  const model = tinyGPT(tokenizer.vocabSize, { blockSize: 64 });
  fit(model, train, { steps, lr: 5e-3, batchSize: 8 });
  return { name, tokenizer, model, loss: estimateLoss(model, val) };
}

export async function lesson() {
  const { name, tokenizer, model, loss } = await pretrain();
  console.log(`\nstage 1: 500 steps on ${name}, validation loss ${loss.toFixed(3)}`);
  const evaluate = async () => {
    const answers = await Promise.all(
      questions.map((question) => answer(model, tokenizer, question)),
    );
    const right = answers.filter((text, i) => isRight(questions[i], text)).length;
    for (const i of [0, 4]) console.log(`  ${questions[i]} ${JSON.stringify(answers[i])}`);
    console.log(`  ${right} of ${questions.length} answers are right`);
    return right;
  };
  const pretrained = await evaluate();

  say(`It writes what it has read, and has no idea that this was a question. Stage 2: eight
    questions, each with two answers, one ending in a period and one in an exclamation mark. The
    targets of the question are -100, which crossEntropy() ignores: the model should learn to
    answer, not to ask.`);
  fineTune(model, tokenizer);
  const tuned = await evaluate();

  say(`With eight questions this is memorization: ask anything else, and it answers one of them.
    With many thousands, and a model that has read a library, the pattern "answer the question" is
    what is learned.`);
  const other = await answer(model, tokenizer, "what is the moon?");
  console.log(`  what is the moon? ${JSON.stringify(other)}`);

  say(`Stage 3: which answers do people prefer? Let us say that they like enthusiasm. The reward is
    1 if an answer ends in an exclamation mark, and 0 otherwise. Nobody writes down better answers:
    the model tries answers, and those with more than the mean reward become more likely. A penalty
    for what the model of stage 2 would not have written keeps the answers right.`);
  const isEnthusiastic = (text: string) => Number(text.endsWith("!"));
  const rewards = await reinforce(model, tokenizer, isEnthusiastic);
  const first = average(rewards.slice(0, 5));
  const last = average(rewards.slice(-5));
  const points = Array.from({ length: rewards.length / 5 }, (_, i) => {
    return [5 * (i + 1), average(rewards.slice(5 * i, 5 * (i + 1)))] as const;
  });
  const title = "reward of the sampled answers, each the mean of five steps";
  show(lineChart([{ name: "reward", points }], { title, xLabel: "step" }), "lesson-18");
  const change = `${percent(first, 0)} in the first five steps, ${percent(last, 0)} in the last`;
  console.log(`mean reward ${change}. The most likely answers are now:`);
  const reinforced = await evaluate();
  const parameters = countParameters(model).toLocaleString("en");

  say(`In ChatGPT the reward comes from a second model, which has learned from comparisons what
    people prefer. The penalty is the same. Without it, the model finds answers that get a high
    reward and that nobody wants: see exercise 2. What remains is scale. This model has
    ${parameters} parameters, GPT-2 had 1.5 billion in 2019, and later models have hundreds of
    billions; the principle is the one that you have seen.`);

  console.log(`Exercises
1. Do not mask the questions: fineTune(model, tokenizer, { maskPrompt: false }). Which loss is now
   lower, and why do people still mask them?
2. Let the reward be the number of exclamation marks, without a penalty (beta 0, lr 3e-3). What does
   the model answer after 60 steps?`);
  return { loss, pretrained, tuned, other, rewards, first, last, reinforced };
}
