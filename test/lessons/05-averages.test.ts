import { existsSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/05-averages.js";
import { assertClose } from "../support/harness.ts";
import { runLesson } from "./run-lesson.ts";

const test = suite("lesson 5");

test("the three averages agree, and none looks ahead", async () => {
  const { differences, lastRow, firstRow, pastChange, output } = await runLesson(lesson);
  assert.ok(differences.matrix < 1e-6, `matrix ${differences.matrix}`);
  assert.ok(differences.softmax < 1e-6, `softmax ${differences.softmax}`);
  assertClose(lastRow, new Array(8).fill(1 / 8));
  assertClose(firstRow, [1, 0, 0, 0, 0, 0, 0, 0]); // the first token can only attend to itself
  assert.is(pastChange, 0);
  assert.match(output, /Exercises/);
  for (const name of ["lesson-05", "lesson-05-scores"])
    assert.ok(existsSync(`runs/lessons/${name}.svg`), name);
});

test.run();
