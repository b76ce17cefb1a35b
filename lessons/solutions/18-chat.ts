// Solutions to lesson 18
//
// Fine-tuning with the loss on questions too, and a reward that can be exploited.
//
// Time: 8 seconds.

import type { GPT } from "tinybard";
import {
  answer,
  dialogues,
  encodeDialogue,
  fineTune,
  isRight,
  pretrain,
  questions,
  reinforce,
} from "../18-chat.ts";
import { percent, say } from "../print.ts";
import { tinyGPT } from "../training.ts";

export async function solution() {
  const { tokenizer, model: base } = await pretrain();
  const weights = base.stateDict();
  const copyBase = (): GPT => {
    const model = tinyGPT(tokenizer.vocabSize, { blockSize: 64 });
    model.loadStateDict(weights);
    return model;
  };

  say(`1. Without the mask the model also learns to write the questions, which it never has to. The
    loss on whole dialogues is lower, but a part of the model's capacity goes into them; in real
    dialogues, the questions are also written worse than the answers should be.`);
  const results: { whole: number; right: number }[] = [];
  for (const maskPrompt of [true, false]) {
    const model = copyBase();
    fineTune(model, tokenizer, { maskPrompt });
    const losses = dialogues.map((dialogue) => {
      const [x, y] = encodeDialogue(tokenizer, dialogue, false);
      return model.forward(x, y).loss?.item() as number;
    });
    const whole = losses.reduce((sum, loss) => sum + loss) / losses.length;
    let right = 0;
    for (const question of questions)
      right += Number(isRight(question, await answer(model, tokenizer, question)));
    const label = maskPrompt ? "masked" : "not masked";
    console.log(`${label.padEnd(11)} loss on whole dialogues ${whole.toFixed(3)}, ${right} right`);
    results.push({ whole, right });
  }

  say(`2. The model answers with exclamation marks and not much else. The reward rises as it should,
    but the answers are useless. This is known as reward hacking.`);
  const model = copyBase();
  fineTune(model, tokenizer);
  const count = (text: string) => text.split("!").length - 1;
  const rewards = await reinforce(model, tokenizer, count, { steps: 60, lr: 3e-3, beta: 0 });
  const answers = await Promise.all(
    questions.map((question) => answer(model, tokenizer, question)),
  );
  for (const i of [0, 4]) console.log(`  ${questions[i]} ${JSON.stringify(answers[i])}`);
  const right = answers.filter((text, i) => isRight(questions[i], text)).length;
  console.log(`${percent(right / questions.length, 0)} of the answers are right`);
  console.log(
    `reward ${rewards[0].toFixed(1)} in the first step, ${rewards[59].toFixed(1)} in the last`,
  );
  return { results, rewards, right };
}
