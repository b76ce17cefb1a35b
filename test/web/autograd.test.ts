// The view of autograd in a browser: code becomes a graph, backward() is stepped through it by
// button and key, and what is wrong is shown at its line.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import * as assert from "uvu/assert";
import { type Dashboard, openDashboard } from "#src/web/dashboard.js";
import { buildGraph } from "#src/web/graph.js";
import { inBrowser, until } from "../support/browser.js";

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** What a box of the picture says, by its label: its op, values and gradients. */
function boxes(
  page: Page,
): Promise<Record<string, { kind: string; op: string; gradient: string }>> {
  return page.$$eval("svg.graph .node", (nodes) => {
    const textOf = (node: Element, kind: string) =>
      [...node.querySelectorAll(kind)].map((each) => each.textContent).join(" ");
    return Object.fromEntries(
      nodes.map((node) => [
        textOf(node, ".label"),
        {
          kind: node.getAttribute("class") ?? "",
          op: textOf(node, ".op"),
          gradient: textOf(node, ".gradient"),
        },
      ]),
    );
  });
}

const note = (page: Page) => page.textContent(".note");

/** Types a code, and waits for its graph. */
async function write(page: Page, code: string): Promise<void> {
  const { nodes } = buildGraph(code);
  await page.fill("textarea", code);
  const wanted = nodes.map(({ label }) => label).sort().join(); // biome-ignore format: short
  const drawn = async () => Object.keys(await boxes(page)).sort().join() === wanted; // biome-ignore format: short
  await until(drawn, `the graph of ${code}`);
}

inBrowser("web/autograd", (test, open) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-autograd-"));
  let dashboard: Dashboard;
  test.before(async () => {
    dashboard = await openDashboard({ run: join(folder, "none"), port: 18_860, live: null });
  });
  test.after(async () => {
    await dashboard.close();
    rmSync(folder, { recursive: true });
  });
  const visit = async (options = {}) => {
    const visited = await open(`${dashboard.url}#autograd`, options);
    await visited.page.waitForSelector("svg.graph");
    return visited;
  };

  test("the neuron of lesson 1, stepped by button: each gradient comes in its turn", async () => {
    const { page, errors } = await visit();
    const before = await boxes(page);
    assert.equal(Object.keys(before).sort(), "b n v1 v2 v3 w1 w2 x1 x2 y".split(" "));
    assert.is(before.n.op, "add");
    for (const { gradient } of Object.values(before)) assert.is(gradient, "·");
    assert.is(await note(page), "before backward(): no gradients yet");
    const forward = page.getByLabel("step forward");
    await forward.click();
    assert.is(await note(page), "dy = 1");
    await forward.click();
    assert.is(await note(page), "dn += dy * (1 - y ** 2)");
    const { n, y, b } = await boxes(page);
    assert.equal([y.gradient, n.gradient, b.gradient], ["1", "0.5", "·"]);
    assert.match(y.kind, /\bcurrent\b/);
    assert.match(n.kind, /\bchanged\b/);
    assert.is(await page.locator(".edge.active").count(), 1);
    for (let i = 2; i < 6; i++) await forward.click();
    const after = await boxes(page);
    const gradients = "x1 x2 w1 w2 b".split(" ").map((name) => after[name].gradient);
    assert.equal(gradients, ["−1.5", "0.5", "1", "0", "0.5"]);
    assert.is(await page.textContent("output"), "step 6 of 6");
    await page.getByLabel("step back").click();
    assert.is((await boxes(page)).w1.gradient, "·");
    await page.getByLabel("first step").click();
    assert.equal(await boxes(page), before);
    assert.equal(errors, []);
  });

  test("by keys alone: from the tab to the graph, arrows, Home and End", async () => {
    const { page, errors } = await visit();
    await page.focus("#tab-autograd");
    const focused = () => page.evaluate(() => document.activeElement?.className ?? "");
    await until(async () => {
      await page.keyboard.press("Tab");
      return (await focused()) === "graph-box";
    }, "the graph is reached with Tab");
    const outline = await page.$eval(".graph-box", (box) => getComputedStyle(box).outlineStyle);
    assert.is(outline, "solid");
    await page.keyboard.press("End");
    assert.is(await page.textContent("output"), "step 6 of 6");
    await page.keyboard.press("ArrowLeft");
    assert.is(await page.textContent("output"), "step 5 of 6");
    const chosen = page.locator(".steps [aria-selected=true]");
    assert.is(await chosen.textContent(), await note(page));
    assert.is(await page.getAttribute(".steps", "aria-activedescendant"), "step-5");
    await page.keyboard.press("Home");
    assert.is(await page.textContent("output"), "step 0 of 6");
    await page.keyboard.press("ArrowRight");
    assert.is(await page.textContent("output"), "step 1 of 6");
    await page.focus("textarea");
    await page.keyboard.press("ArrowRight"); // moves the cursor, and nothing else
    assert.is(await page.textContent("output"), "step 1 of 6");
    assert.equal(errors, []);
  });

  test("Run goes through all steps and stops", async () => {
    const { page, errors } = await visit();
    await page.selectOption("select", "a value used twice");
    await until(async () => "d" in (await boxes(page)), "the example is drawn");
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
    const ended = async () => (await page.textContent("output")) === "step 4 of 4";
    await until(ended, "all steps have been shown");
    await page.getByRole("button", { name: "Run" }).waitFor();
    assert.is((await boxes(page)).a.gradient, "26");
    await page.locator(".node", { has: page.locator(".label", { hasText: "c" }) }).click();
    assert.is(await page.textContent("output"), "step 3 of 4");
    await page.locator(".steps li").nth(1).click();
    assert.is(await note(page), "dc += dd\ndb += dd");
    assert.is(await page.locator(".edge").count(), 6);
    assert.equal(errors, []);
  });

  test("what is wrong stands at its line, as text; the last graph stays, and comes back", async () => {
    const { page, errors } = await visit();
    await write(page, "x = 2\ny = x ** 3");
    const problem = page.getByRole("alert");
    await page.fill("textarea", "x = 2\ny = x ** <img src=x onerror=alert(1)>");
    await problem.getByText("line 2, column 10: unexpected character <").waitFor();
    assert.is(await page.textContent(".line-numbers .wrong"), "2");
    assert.is(await page.getAttribute("textarea", "aria-invalid"), "true");
    assert.ok("y" in (await boxes(page)));
    await page.fill("textarea", "x = 2\n\nconstructor = __proto__");
    await problem.getByText("line 3, column 15: __proto__ is not defined").waitFor();
    assert.is(await page.textContent(".line-numbers .wrong"), "3");
    await write(page, "x = 2\nz = x ** 3");
    assert.is(await problem.textContent(), "");
    assert.is(await page.$eval("select", (each) => each.selectedOptions[0].text), "custom code");
    assert.is(await page.locator(".wrong").count(), 0);
    assert.is(await page.getAttribute("textarea", "aria-invalid"), "false");
    assert.is(await page.locator("img").count(), 0);
    // each refusal is told on the console by the browser itself
    const others = errors.filter(
      (error) => !error.includes("the server responded with a status of 400"),
    );
    assert.equal(others, []);
  });

  test("f32 and f64, across and down, odd numbers and large arrays", async () => {
    const { page, errors } = await visit();
    await write(page, "x = [0, 1]\ny = sum(1 / x)");
    await page.getByLabel("step back").press("End");
    const { x } = await boxes(page);
    assert.is(x.gradient, "−∞ −1");
    await write(page, `x = [${Array.from({ length: 64 }, (_, i) => i).join(", ")}]\ns = sum(x)`);
    assert.is(await page.locator(".leaf .value").count(), 6);
    assert.is(await page.locator(".leaf .value").last().textContent(), "…");
    await write(page, "x = 0.1\nw = x - 0.1000000014901161");
    const value = () => page.locator(".result .value").textContent();
    assert.is(await value(), "−1.49e−9");
    await page.getByLabel("f32").check({ force: true });
    await until(async () => (await value()) === "0", "the same in f32");
    const size = () => page.$eval("svg.graph", (svg) => svg.clientWidth / svg.clientHeight);
    const before = await size();
    await page.getByLabel("down").check({ force: true });
    await until(async () => (await size()) < before, "a graph that goes down");
    await page.getByLabel("step forward").click();
    await page.getByLabel("across").check({ force: true });
    await until(async () => (await size()) === before, "and across again");
    assert.is(await page.textContent("output"), "step 1 of 2");
    assert.equal(errors, []);
  });

  test("on a phone the graph goes down and scrolls in its own box, the page never sideways", async () => {
    const { page, errors } = await visit(phone);
    await page.selectOption("select", "a two-layer network");
    await until(async () => "loss" in (await boxes(page)), "the example is drawn");
    const widths = await page.evaluate(() => {
      const box = document.querySelector(".graph-box") as HTMLElement;
      const { documentElement: all } = document;
      return { page: all.scrollWidth - all.clientWidth, box: box.scrollHeight - box.clientHeight };
    });
    assert.is(widths.page, 0);
    assert.ok(widths.box > 100);
    const height = await page.$eval(".note", (each) => each.clientHeight);
    const isSeen = () =>
      page.evaluate(() => {
        const box = document.querySelector(".graph-box")?.getBoundingClientRect() as DOMRect;
        const turn = document.querySelector(".current")?.getBoundingClientRect() as DOMRect;
        return turn.top >= box.top && turn.bottom <= box.bottom && turn.left >= box.left;
      });
    await page.getByLabel("step forward").tap();
    await until(isSeen, "the root, at the far end, has been scrolled to");
    for (let i = 1; i < 10; i++) await page.getByLabel("step forward").tap();
    assert.is(await page.textContent("output"), "step 10 of 10");
    assert.is(await page.$eval(".note", (each) => each.clientHeight), height);
    await until(isSeen, "the node whose turn it is has been scrolled to");
    assert.equal(errors, []);
  });
});
