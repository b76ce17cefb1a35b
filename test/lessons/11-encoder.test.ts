import { nn, randn } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { attentionMap, lesson, reviews, sourceOf, targetOf } from "#lessons/11-encoder.js";
import { told } from "./told.ts";

const test = suite("lesson 11");

test("order alone decides over a review; words are read and written as said", () => {
  const all = reviews();
  assert.is(all.length, 1440);
  const labels = new Map(all.map(({ text, label }) => [text, label]));
  assert.is(labels.get("the film was dull but the music was lovely"), 1);
  assert.is(labels.get("the film was lovely but the music was dull"), 0);
  assert.equal(sourceOf("abc"), [8, 8, 8, 8, 8, 8, 0, 1, 2]);
  const { input, output } = targetOf("abc");
  assert.equal(input, [9, 2, 1, 0, 8, 8, 8, 8, 8]);
  assert.equal(output, [2, 1, 0, 8, -100, -100, -100, -100, -100]);
});

test("the map of a layer is what its output is made of", () => {
  const layer = new nn.MultiHeadAttention({ nEmbd: 8, nHead: 2, cross: true });
  const [x, context] = [randn([1, 3, 8]), randn([1, 5, 8])];
  const map = attentionMap(layer, x, context); // (2, 3, 5)
  const values = layer.c_attn.forward(context).slice({ dim: 2, start: 8 }).reshape([5, 2, 4]);
  const heads = map.matmul(values.permute([1, 0, 2])); // (2, 3, 4)
  const y = layer.c_proj.forward(heads.permute([1, 0, 2]).reshape([1, 3, 8]));
  assert.ok(y.sub(layer.forward(x, context)).abs().max().item() < 1e-5);
});

test("an encoder sees order where a bag cannot; a decoder looks along the anti-diagonal", async () => {
  const { bag, encoder, exact, map } = await told(lesson);
  assert.ok(Math.abs(bag - 0.5) < 0.1, `bag ${bag}`);
  assert.ok(encoder > 0.95, `encoder ${encoder}`);
  assert.ok(exact >= 0.95, `exact ${exact}`);
  // which place each of the letters h to a is taken from; the first place holds an end
  const looks = map.map((row) => row.indexOf(Math.max(...row)));
  const onDiagonal = looks.slice(0, 8).filter((at, t) => at === 8 - t).length;
  assert.ok(onDiagonal >= 6, `looks at ${looks}`);
});

test.run();
