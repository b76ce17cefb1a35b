// Runs with unusual names and metrics in Chromium: every name works everywhere, nothing in a run is
// interpreted as markup, and no row stops the page.

import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import * as assert from "uvu/assert";
import { type Dashboard, openDashboard } from "#src/web/dashboard.js";
import { inBrowser, until } from "../support/browser.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-names-"));
const header = "step,elapsedSeconds,loss,lr,gradNorm,tokensPerSecond,trainLoss,valLoss";
const names = [
  "plain",
  "two words",
  " spaces ",
  `"double" and 'single'`,
  "<img src=x onerror=alert(1)>",
  "<script>alert(1)<",
  "&amp;&lt;",
  "#hash?query&a=b%20+c%",
  "a,b:c;d",
  "%2e%2e",
  "...",
  "back\\slash",
  "new\nline\ttab",
  "\u202eright to left",
  "😀é e\u0301 नमस्ते",
  "-rf",
  "--run",
  "=1+1",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "CON",
  "x".repeat(255),
];

function createRun(name: string, metrics: string, seconds: number): void {
  const run = join(folder, name);
  mkdirSync(run);
  writeFileSync(join(run, "config.json"), "{}");
  utimesSync(join(run, "config.json"), seconds, seconds);
  writeFileSync(join(run, "metrics.jsonl"), metrics);
}

const getCheckbox = (page: Page, name: string) =>
  page.locator(`[data-run="${name.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\a ")}"]`);
const getPosition = (page: Page) => page.locator(".position").textContent();

inBrowser("web/hostile-runs", (test, open) => {
  let dashboard: Dashboard;
  test.before(async () => {
    for (const [i, name] of names.entries())
      createRun(name, `{"step":1,"loss":${i + 1},"elapsedSeconds":3}\n`, 1e9 - i);
    dashboard = await openDashboard({ port: 18_400 });
    await dashboard.show({ run: join(folder, "plain"), live: null });
  });
  test.after(async () => {
    await dashboard.close();
    rmSync(folder, { recursive: true });
  });

  test("a run of any name is listed, plotted, compared and exported", async () => {
    const { page, errors } = await open(dashboard.url);
    page.on("dialog", () => assert.unreachable("a script of a name has run"));
    await until(async () => (await page.locator(".runs .name").count()) > 0, "runs are listed");
    assert.equal(await page.locator(".runs .name").allTextContents(), names);
    await getCheckbox(page, "plain").uncheck();
    for (const [i, name] of names.entries()) {
      const checkbox = getCheckbox(page, name);
      await checkbox.check();
      await until(async () => (await getPosition(page)) === "1 logged steps", `rows of ${name}`);
      assert.is(await page.locator(".large th[scope=row]").textContent(), name);
      const losses = page.locator(".large .readout tr td.number");
      const expected = (i + 1).toFixed(4); // drawn in the frame after the rows have arrived
      await until(async () => (await losses.allTextContents())[0] === expected, `loss of ${name}`);
      const link = await page.getByLabel(`metrics of ${name} as CSV`, { exact: true });
      const href = String(await link.first().getAttribute("href"));
      const csv = await page.request.get(new URL(href, dashboard.url).href);
      assert.is(await csv.text(), `${header}\r\n1,3,${i + 1},,,,,\r\n`, name);
      const { "content-disposition": disposition } = csv.headers();
      const [, file] = /^attachment; filename\*=UTF-8''([\w.~%!&+-]+)$/.exec(disposition) ?? [];
      assert.is(decodeURIComponent(String(file)), `${name}.csv`);
      await checkbox.uncheck();
      await until(async () => (await getPosition(page)) === "0 logged steps", `${name} is removed`);
    }
    for (const name of names.slice(0, 5)) await getCheckbox(page, name).check();
    await until(async () => (await getPosition(page)) === "5 logged steps", "five runs are shown");
    assert.is(await page.locator("img, script:not(head script)").count(), 0);
    assert.equal(errors, []);
  });

  test("names do not make the page wider than a phone", async () => {
    const { page } = await open(dashboard.url, { viewport: { width: 360, height: 800 } });
    await until(async () => (await page.locator(".runs .name").count()) > 0, "runs are listed");
    for (const name of ["x".repeat(255), "two words", "\u202eright to left"])
      await getCheckbox(page, name).check();
    await until(async () => (await getPosition(page)) === "4 logged steps", "runs are shown");
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(excess <= 0, `the page is ${excess} pixels wider than the screen`);
  });

  test("of many runs, the newest 200 are listed, and more on request", async () => {
    const parent = join(folder, "many");
    mkdirSync(parent);
    for (let i = 0; i < 450; i++) {
      mkdirSync(join(parent, `run ${i}`));
      writeFileSync(join(parent, `run ${i}`, "config.json"), "{}");
      utimesSync(join(parent, `run ${i}`, "config.json"), 1e9 - i, 1e9 - i);
    }
    const other = await openDashboard({ port: 18_400 });
    await other.show({ run: join(parent, "run 0"), live: null });
    try {
      const { page, errors } = await open(other.url);
      const countRuns = () => page.locator(".runs .name").count();
      await until(async () => (await countRuns()) === 200, "200 runs are listed");
      await page.getByRole("button", { name: "List more of 250 older runs" }).click();
      await until(async () => (await countRuns()) === 400, "400 runs are listed");
      const focused = await page.evaluate(() => document.activeElement?.getAttribute("data-run"));
      assert.is(focused, "run 200");
      await page.getByRole("button", { name: "List more of 50 older runs" }).click();
      await until(async () => (await countRuns()) === 450, "all runs are listed");
      assert.is(await page.getByRole("button", { name: /^List more/ }).count(), 0);
      assert.equal(errors, []);
    } finally {
      await other.close();
    }
  });

  test("rows with any values leave the page responsive", async () => {
    const extremes = [1e308, -1e308, 5e-324, 1e30, -1e-30, 0, 1e15, 1e15 + 0.125];
    const rows = extremes.map((loss, i) => ({
      step: i,
      loss,
      lr: loss,
      gradNorm: loss,
      valLoss: loss,
    }));
    const metrics: Record<string, string[]> = {
      extremes: rows.map((row) => JSON.stringify({ ...row, elapsedSeconds: row.loss })),
      close: [0, 1].map((i) => `{"step":${i},"loss":${1e15 + i / 8},"elapsedSeconds":${1e12 + i}}`),
      far: ["0", "1e12", "1e15", "1e308", "1e999"].map((step) => `{"step":${step},"loss":1}`),
      strings: ['{"step":1,"loss":"<b>","elapsedSeconds":[]}', '{"step":2,"loss":1,"lr":{}}'],
      decreasing: [5, 4, 4, 3, 0.5, 0.25].map((step) => `{"step":${step},"loss":${step}}`),
      nulls: ['{"step":1,"loss":null,"elapsedSeconds":null}', '{"step":2,"loss":null}'],
    };
    for (const [i, [name, lines]] of Object.entries(metrics).entries())
      createRun(name, `${lines.join("\n")}\n`, 2e9 + i);
    const { page, errors } = await open(dashboard.url);
    await until(async () => (await getCheckbox(page, "nulls").count()) === 1, "runs are listed");
    for (const name of Object.keys(metrics)) {
      await getCheckbox(page, name).check();
      for (const label of ["log", "time", "linear", "steps"]) {
        await page.getByLabel(label, { exact: true }).check();
        await page.evaluate(() => new Promise(requestAnimationFrame));
      }
      await page.locator(".plot").first().press("+");
      await page.locator(".plot").first().press("Escape");
    }
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.ok(await page.locator(".plot canvas").first().isVisible());
    assert.equal(errors, []);
  });
});
