import { existsSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/05-averages.js";
import { assertClose } from "../support/support.ts";
import { told } from "./told.ts";

const test = suite("lesson 5");

test("three ways to average agree, and none looks ahead", async () => {
  const { differences, lastRow, firstRow, pastChange, output } = await told(lesson);
  assert.ok(differences.product < 1e-6, `product ${differences.product}`);
  assert.ok(differences.softmax < 1e-6, `softmax ${differences.softmax}`);
  assertClose(lastRow, new Array(8).fill(1 / 8));
  assertClose(firstRow, [1, 0, 0, 0, 0, 0, 0, 0]); // the first token has itself alone, in any case
  assert.is(pastChange, 0);
  assert.match(output, /Exercises/);
  for (const name of ["lesson-05", "lesson-05-scores"])
    assert.ok(existsSync(`runs/lessons/${name}.svg`), name);
});

test.run();
