// The page of the course has each lesson under its own title, with pictures that are there, and the
// losses that the lessons are held to.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { expected } from "./losses.ts";

const test = suite("course");
const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(root, "docs/course.md"), "utf8");
const lessons = readdirSync(join(root, "lessons")).filter((file) => /^\d\d-/.test(file));

test("each lesson has a row with its title and pictures", () => {
  assert.is(lessons.length, 17);
  for (const file of lessons) {
    const [first] = readFileSync(join(root, "lessons", file), "utf8").split("\n", 1);
    const [, number, title] = /^\/\/ Lesson (\d+): (.+)$/.exec(first) ?? [];
    const row = page.split("\n").find((line) => line.includes(`(../lessons/${file})`));
    assert.ok(row?.includes(`[${number} ${title}]`), `${file} is "${number} ${title}"`);
    assert.match(row as string, /!\[[^\]]+\]\(img\/lesson-\d\d[^)]*\.svg\)/);
  }
  for (const [, picture] of page.matchAll(/\]\((img\/[^)]+)\)/g))
    assert.ok(existsSync(join(root, "docs", picture)), picture);
});

test("its table of losses is that of the lessons", () => {
  for (const [name, ...losses] of expected)
    assert.match(
      page,
      new RegExp(
        `\\| ${name.replace("+", "\\+")} +\\| ${losses.map((loss) => loss.toFixed(3)).join(" +\\| ")}`,
      ),
    );
});

test.run();
