import { CharTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { dialogues, encodeDialogue, isRight, lesson, toPrompt } from "#lessons/18-chat.js";
import { solution } from "#lessons/solutions/18-chat.js";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 18");

test("only the tokens of the answer are targets", () => {
  const tokenizer = CharTokenizer.train("Q: hi?\nA: yo\n");
  assert.is(toPrompt("hi?"), "Q: hi?\nA: ");
  const [x, y] = encodeDialogue(tokenizer, ["hi?", "yo"]);
  assert.is(tokenizer.decode([...x.data()]), "Q: hi?\nA: yo");
  const targets = [...y.data()];
  assert.equal(targets.slice(0, 9), new Array(9).fill(-100));
  assert.is(tokenizer.decode(targets.slice(9)), "yo\n");
  const [, whole] = encodeDialogue(tokenizer, ["hi?", "yo"], false);
  assert.is(tokenizer.decode([...whole.data()]), ": hi?\nA: yo\n");
  assert.is(dialogues.length, 16);
  assert.ok(isRight("how are you?", "very well!") && !isRight("how are you?", "white!"));
});

if (await loadText("lesson 18")) {
  test("fine-tuning teaches the answers, and the reward rises without losing them", async () => {
    const { pretrained, tuned, first, last, rewards, reinforced } = await runLesson(lesson);
    assert.is(pretrained, 0);
    assert.ok(tuned >= 7, `${tuned} right after fine-tuning`);
    assert.is(rewards.length, 100);
    assert.ok(first < 0.75, `reward ${first} at first`);
    assert.ok(last > first + 0.2 && last > 0.8, `reward ${first} at first, ${last} at last`);
    assert.ok(reinforced >= 5, `${reinforced} right after the policy gradient`);
  });

  test("solutions: questions are learned without a mask; a bad reward is exploited", async () => {
    const { results, rewards, right } = await runLesson(solution);
    assert.ok(results[1].whole < results[0].whole - 1, `whole ${results[1].whole}`);
    for (const result of results) assert.ok(result.right >= 7, `${result.right} right`);
    assert.ok(rewards[59] > 5 && rewards[59] > 5 * rewards[0], `reward ${rewards[59]}`);
    assert.ok(right <= 1, `${right} right`);
  });
}

test.run();
