// docs/course.md lists each lesson under its own title, shows pictures that exist, and states the
// losses that the tests expect.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { wrap } from "#lessons/print.js";
import { expected } from "./expected-losses.ts";

const test = suite("course");
const root = fileURLToPath(new URL("../..", import.meta.url));
const course = readFileSync(join(root, "docs/course.md"), "utf8");
const lessons = readdirSync(join(root, "lessons")).filter((file) => /^\d\d-/.test(file));

test("each lesson has a row with its title and pictures", () => {
  assert.is(lessons.length, 19);
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

test("a lesson prints its title, source file, time and introduction first, and prose between", () => {
  const run = spawnSync(process.execPath, [join(root, "dist/lessons/run.js"), "3"], {
    encoding: "utf8",
    cwd: mkdtempSync(join(tmpdir(), "tinybard-course-")),
  });
  assert.is(run.status, 0, run.stderr);
  const [title, file, , introduction] = run.stdout.split("\n");
  assert.is(title, "Lesson 3: Gradient checking");
  assert.is(file, "lessons/03-check.ts, about 1 second");
  assert.match(introduction, /^A wrong derivative does not crash\. The model still trains/);
  assert.match(run.stdout, /\n\nThe check has a blind spot\. At a kink [^.]*right\ndiffer, and/);
});

test("each lesson and its solutions state their time", () => {
  for (const file of lessons.flatMap((name) => [name, join("solutions", name)])) {
    const [head] = readFileSync(join(root, "lessons", file), "utf8").split("\n\n", 1);
    assert.match(head, /\n\/\/\n\/\/ Time: \d+ (seconds?|minutes?)\.$/, file);
  }
});

test("the solutions solve each exercise, and run like lessons", () => {
  for (const file of lessons) {
    const [lesson, solution] = [file, join("solutions", file)].map((name) =>
      readFileSync(join(root, "lessons", name), "utf8"),
    );
    const exercises = lesson.slice(lesson.indexOf("Exercises")).match(/^\d\. /gm) ?? [];
    assert.ok(exercises.length >= 2, file);
    for (const exercise of exercises)
      assert.match(solution, new RegExp(`(say\\([\`"]|and )${exercise}`), `${file} ${exercise}`);
  }
  const args = [join(root, "dist/lessons/run.js"), "5", "solution"];
  const run = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.match(run.stdout, /^Solutions to lesson 5\nlessons\/solutions\/05-averages\.ts, about/);
  assert.match(run.stdout, /last row with 5: +0\.007 0\.007 0\.007 0\.980/);
});

test("text is wrapped to 88 columns, paragraph by paragraph", () => {
  const words = "four ".repeat(40);
  const lines = wrap(`${words}\n\n  ${words}`).split("\n");
  const full = "four ".repeat(17).trim(); // 84 columns; another word would need 89
  const rest = "four ".repeat(6).trim();
  assert.equal(lines, [full, full, rest, "", full, full, rest]);
});

test("the loss table states the expected losses", () => {
  for (const [name, ...losses] of expected) {
    const cells = losses.map((loss) => loss.toFixed(3)).join(" +\\| ");
    assert.match(course, new RegExp(`\\| ${name.replace("+", "\\+")} +\\| ${cells}`));
  }
});

test.run();
