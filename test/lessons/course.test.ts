// docs/course.md lists each lesson under its own title, shows pictures that exist, and states the
// losses that the tests expect.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { expected } from "./expected-losses.ts";

const test = suite("course");
const root = fileURLToPath(new URL("../..", import.meta.url));
const course = readFileSync(join(root, "docs/course.md"), "utf8");
const lessons = readdirSync(join(root, "lessons")).filter((file) => /^\d\d-/.test(file));

test("each lesson has a row with its title and pictures", () => {
  assert.is(lessons.length, 17);
  for (const file of lessons) {
    const [firstLine] = readFileSync(join(root, "lessons", file), "utf8").split("\n", 1);
    const [, number, title] = /^\/\/ Lesson (\d+): (.+)$/.exec(firstLine) ?? [];
    const row = course.split("\n").find((line) => line.includes(`(../lessons/${file})`));
    assert.ok(row?.includes(`[${number} ${title}]`), `${file} is "${number} ${title}"`);
    assert.match(row as string, /!\[[^\]]+\]\(img\/lesson-\d\d[^)]*\.svg\)/);
  }
  for (const [, picture] of course.matchAll(/\]\((img\/[^)]+)\)/g))
    assert.ok(existsSync(join(root, "docs", picture)), picture);
});

test("the loss table states the expected losses", () => {
  for (const [name, ...losses] of expected) {
    const cells = losses.map((loss) => loss.toFixed(3)).join(" +\\| ");
    assert.match(course, new RegExp(`\\| ${name.replace("+", "\\+")} +\\| ${cells}`));
  }
});

test.run();
