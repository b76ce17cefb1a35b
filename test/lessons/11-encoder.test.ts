import { nn, randn } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { attentionMap, lesson, toSource, toTarget } from "#lessons/11-encoder.js";
import { createReviews } from "#lessons/reviews.js";
import { runLesson } from "./run-lesson.ts";

const test = suite("lesson 11");

test("order alone decides the label of a review; words are encoded as documented", () => {
  const all = createReviews();
  assert.is(all.length, 1440);
  const labels = new Map(all.map(({ text, label }) => [text, label]));
  assert.is(labels.get("the film was dull but the music was lovely"), 1);
  assert.is(labels.get("the film was lovely but the music was dull"), 0);
  const although = new Map(createReviews("although").map(({ text, label }) => [text, label]));
  assert.is(although.get("the film was dull although the music was lovely"), 0);
  assert.equal(toSource("abc"), [8, 8, 8, 8, 8, 8, 0, 1, 2]);
  const { input, target } = toTarget("abc");
  assert.equal(input, [9, 2, 1, 0, 8, 8, 8, 8, 8]);
  assert.equal(target, [2, 1, 0, 8, -100, -100, -100, -100, -100]);
});

test("the attention map reproduces the layer's output", () => {
  const layer = new nn.MultiHeadAttention({ nEmbd: 8, nHead: 2, cross: true });
  const x = randn([1, 3, 8]);
  const context = randn([1, 5, 8]);
  const map = attentionMap(layer, x, context); // (2, 3, 5)
  const values = layer.c_attn.forward(context).slice({ dim: 2, start: 8 }).reshape([5, 2, 4]);
  const heads = map.matmul(values.permute([1, 0, 2])); // (2, 3, 4)
  const y = layer.c_proj.forward(heads.permute([1, 0, 2]).reshape([1, 3, 8]));
  assert.ok(y.sub(layer.forward(x, context)).abs().max().item() < 1e-5);
});

test("an encoder sees order, a bag of words does not; a decoder attends along the anti-diagonal", async () => {
  const { bagOfWords, encoder, exactMatch, map } = await runLesson(lesson);
  assert.ok(Math.abs(bagOfWords - 0.5) < 0.1, `bag of words ${bagOfWords}`);
  assert.ok(encoder > 0.95, `encoder ${encoder}`);
  assert.ok(exactMatch >= 0.95, `exact match ${exactMatch}`);
  // the position that each of the letters h to a attends to; position 0 is an END token
  const attended = map.map((row) => row.indexOf(Math.max(...row)));
  const onDiagonal = attended.slice(0, 8).filter((position, t) => position === 8 - t).length;
  assert.ok(onDiagonal >= 6, `attends to ${attended}`);
});

test.run();
