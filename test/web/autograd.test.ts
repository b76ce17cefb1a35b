// The Autograd view in Chromium: code becomes a graph, buttons and keys step through backward(), and
// errors are shown with their line.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import * as assert from "uvu/assert";
import { type Dashboard, openDashboard } from "#src/web/dashboard.js";
import { buildGraph } from "#src/web/graph.js";
import { inBrowser, until } from "../support/browser.js";

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** Returns the kind, op and gradient of each box of the graph, by label. */
function getBoxes(
  page: Page,
): Promise<Record<string, { kind: string; op: string; gradient: string }>> {
  return page.$$eval("svg.graph .node", (nodes) => {
    const getText = (node: Element, kind: string) =>
      [...node.querySelectorAll(kind)].map((text) => text.textContent).join(" ");
    return Object.fromEntries(
      nodes.map((node) => [
        getText(node, ".label"),
        {
          kind: node.getAttribute("class") ?? "",
          op: getText(node, ".op"),
          gradient: getText(node, ".gradient"),
        },
      ]),
    );
  });
}

const getNote = (page: Page) => page.textContent(".note");

/** Types code and waits for its graph. */
async function typeCode(page: Page, code: string): Promise<void> {
  const { nodes } = buildGraph(code);
  await page.fill("textarea", code);
  const expected = nodes.map(({ label }) => label).sort();
  const isShown = async () =>
    Object.keys(await getBoxes(page))
      .sort()
      .join() === expected.join();
  await until(isShown, `the graph of ${code} is shown`);
}

inBrowser("web/autograd", (test, open) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-autograd-"));
  let dashboard: Dashboard;
  test.before(async () => {
    dashboard = await openDashboard({ port: 18_860 });
    await dashboard.show({ run: join(folder, "none"), live: null });
  });
  test.after(async () => {
    await dashboard.close();
    rmSync(folder, { recursive: true });
  });
  const openView = async (options = {}) => {
    const visit = await open(`${dashboard.url}#autograd`, options);
    await visit.page.waitForSelector("svg.graph");
    return visit;
  };

  test("the buttons step through the neuron of lesson 1, and each step sets its gradients", async () => {
    const { page, errors } = await openView();
    const before = await getBoxes(page);
    assert.equal(Object.keys(before).sort(), "b n v1 v2 v3 w1 w2 x1 x2 y".split(" "));
    assert.is(before.n.op, "add");
    for (const { gradient } of Object.values(before)) assert.is(gradient, "·");
    assert.is(await getNote(page), "before backward(): no gradients yet");
    const forward = page.getByLabel("step forward");
    await forward.click();
    assert.is(await getNote(page), "dy = 1");
    await forward.click();
    assert.is(await getNote(page), "dn += dy * (1 - y ** 2)");
    const { n, y, b } = await getBoxes(page);
    assert.equal([y.gradient, n.gradient, b.gradient], ["1", "0.5", "·"]);
    assert.match(y.kind, /\bcurrent\b/);
    assert.match(n.kind, /\bchanged\b/);
    assert.is(await page.locator(".edge.active").count(), 1);
    for (let i = 2; i < 6; i++) await forward.click();
    const after = await getBoxes(page);
    const gradients = "x1 x2 w1 w2 b".split(" ").map((name) => after[name].gradient);
    assert.equal(gradients, ["−1.5", "0.5", "1", "0", "0.5"]);
    assert.is(await page.textContent("output"), "step 6 of 6");
    await page.getByLabel("step back").click();
    assert.is((await getBoxes(page)).w1.gradient, "·");
    await page.getByLabel("first step").click();
    assert.equal(await getBoxes(page), before);
    assert.equal(errors, []);
  });

  test("keyboard: Tab reaches the graph; arrows, Home and End step", async () => {
    const { page, errors } = await openView();
    await page.focus("#tab-autograd");
    const focused = () => page.evaluate(() => document.activeElement?.className ?? "");
    await until(async () => {
      await page.keyboard.press("Tab");
      return (await focused()) === "graph-box";
    }, "Tab reaches the graph");
    const outline = await page.$eval(".graph-box", (box) => getComputedStyle(box).outlineStyle);
    assert.is(outline, "solid");
    await page.keyboard.press("End");
    assert.is(await page.textContent("output"), "step 6 of 6");
    await page.keyboard.press("ArrowLeft");
    assert.is(await page.textContent("output"), "step 5 of 6");
    const chosen = page.locator(".steps [aria-selected=true]");
    assert.is(await chosen.textContent(), await getNote(page));
    assert.is(await page.getAttribute(".steps", "aria-activedescendant"), "step-5");
    await page.keyboard.press("Home");
    assert.is(await page.textContent("output"), "step 0 of 6");
    await page.keyboard.press("ArrowRight");
    assert.is(await page.textContent("output"), "step 1 of 6");
    await page.focus("textarea");
    await page.keyboard.press("ArrowRight"); // moves only the text cursor
    assert.is(await page.textContent("output"), "step 1 of 6");
    assert.equal(errors, []);
  });

  test("Run shows all steps and stops", async () => {
    const { page, errors } = await openView();
    await page.selectOption("select", "a value used twice");
    await until(async () => "d" in (await getBoxes(page)), "the example is shown");
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
    const isFinished = async () => (await page.textContent("output")) === "step 4 of 4";
    await until(isFinished, "all steps are shown");
    await page.getByRole("button", { name: "Run" }).waitFor();
    assert.is((await getBoxes(page)).a.gradient, "26");
    await page.locator(".node", { has: page.locator(".label", { hasText: "c" }) }).click();
    assert.is(await page.textContent("output"), "step 3 of 4");
    await page.locator(".steps li").nth(1).click();
    assert.is(await getNote(page), "dc += dd\ndb += dd");
    assert.is(await page.locator(".edge").count(), 6);
    assert.equal(errors, []);
  });

  test("errors are shown as text at their line, and the last valid graph stays", async () => {
    const { page, errors } = await openView();
    await typeCode(page, "x = 2\ny = x ** 3");
    const problem = page.getByRole("alert");
    await page.fill("textarea", "x = 2\ny = x ** <img src=x onerror=alert(1)>");
    await problem.getByText("line 2, column 10: unexpected character <").waitFor();
    assert.is(await page.textContent(".line-numbers .wrong"), "2");
    assert.is(await page.getAttribute("textarea", "aria-invalid"), "true");
    assert.ok("y" in (await getBoxes(page)));
    await page.fill("textarea", "x = 2\n\nconstructor = __proto__");
    await problem.getByText("line 3, column 15: __proto__ is not defined").waitFor();
    assert.is(await page.textContent(".line-numbers .wrong"), "3");
    await typeCode(page, "x = 2\nz = x ** 3");
    assert.is(await problem.textContent(), "");
    assert.is(
      await page.$eval("select", (select) => select.selectedOptions[0].text),
      "custom code",
    );
    assert.is(await page.locator(".wrong").count(), 0);
    assert.is(await page.getAttribute("textarea", "aria-invalid"), "false");
    assert.is(await page.locator("img").count(), 0);
    // the browser logs each rejected request on the console
    const otherErrors = errors.filter(
      (error) => !error.includes("the server responded with a status of 400"),
    );
    assert.equal(otherErrors, []);
  });

  test("dtypes and directions, special values and large arrays", async () => {
    const { page, errors } = await openView();
    await typeCode(page, "x = [0, 1]\ny = sum(1 / x)");
    await page.getByLabel("step back").press("End");
    const { x } = await getBoxes(page);
    assert.is(x.gradient, "−∞ −1");
    await typeCode(page, `x = [${Array.from({ length: 64 }, (_, i) => i).join(", ")}]\ns = sum(x)`);
    assert.is(await page.locator(".leaf .value").count(), 6);
    assert.is(await page.locator(".leaf .value").last().textContent(), "…");
    await typeCode(page, "x = 0.1\nw = x - 0.1000000014901161");
    const value = () => page.locator(".result .value").textContent();
    assert.is(await value(), "−1.49e−9");
    await page.getByLabel("f32").check({ force: true });
    await until(async () => (await value()) === "0", "the difference is 0 in f32");
    const size = () => page.$eval("svg.graph", (svg) => svg.clientWidth / svg.clientHeight);
    const before = await size();
    await page.getByLabel("down").check({ force: true });
    await until(async () => (await size()) < before, "the graph is laid out downward");
    await page.getByLabel("step forward").click();
    await page.getByLabel("across").check({ force: true });
    await until(async () => (await size()) === before, "the graph is laid out across again");
    assert.is(await page.textContent("output"), "step 1 of 2");
    assert.equal(errors, []);
  });

  test("on a phone the graph is vertical and scrolls in its box, and the page never sideways", async () => {
    const { page, errors } = await openView(phone);
    await page.selectOption("select", "a two-layer network");
    await until(async () => "loss" in (await getBoxes(page)), "the example is shown");
    const widths = await page.evaluate(() => {
      const box = document.querySelector(".graph-box") as HTMLElement;
      const { documentElement: root } = document;
      return {
        page: root.scrollWidth - root.clientWidth,
        box: box.scrollHeight - box.clientHeight,
      };
    });
    assert.is(widths.page, 0);
    assert.ok(widths.box > 100);
    const height = await page.$eval(".note", (element) => element.clientHeight);
    const isVisible = () =>
      page.evaluate(() => {
        const box = document.querySelector(".graph-box")?.getBoundingClientRect() as DOMRect;
        const current = document.querySelector(".current")?.getBoundingClientRect() as DOMRect;
        return current.top >= box.top && current.bottom <= box.bottom && current.left >= box.left;
      });
    await page.getByLabel("step forward").tap();
    await until(isVisible, "the root at the far end is scrolled into view");
    for (let i = 1; i < 10; i++) await page.getByLabel("step forward").tap();
    assert.is(await page.textContent("output"), "step 10 of 10");
    assert.is(await page.$eval(".note", (element) => element.clientHeight), height);
    await until(isVisible, "the current node is scrolled into view");
    assert.equal(errors, []);
  });
});
