// The token of the dashboard's link in Chromium: reloading, an address without it, and two
// dashboards in one browser.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import * as assert from "uvu/assert";
import { type Dashboard, openDashboard } from "#src/web/dashboard.js";
import { inBrowser, until } from "../support/browser.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-token-"));
const getPosition = (page: Page) => page.locator(".position").textContent();

inBrowser("web/token", (test, open) => {
  let dashboard: Dashboard;
  test.before(async () => {
    mkdirSync(join(folder, "a"));
    writeFileSync(join(folder, "a", "config.json"), "{}");
    writeFileSync(join(folder, "a", "metrics.jsonl"), '{"step":1,"loss":2,"elapsedSeconds":3}\n');
    dashboard = await openDashboard({ port: 18_450 });
    await dashboard.show({ run: join(folder, "a"), live: null });
  });
  test.after(async () => {
    await dashboard.close();
    rmSync(folder, { recursive: true });
  });

  test("reloading keeps the token and the view; a wrong token is explained", async () => {
    const { page, errors } = await open(`${dashboard.url}#autograd`);
    await page.reload();
    await page.locator("#autograd .graph-box svg").waitFor();
    await page.getByRole("tab", { name: "Curves" }).click();
    await until(async () => (await page.locator(".runs .name").count()) > 0, "runs are listed");
    assert.is(await page.locator("#connection").textContent(), "connected");
    assert.equal(errors, []);
    const { origin } = new URL(dashboard.url);
    await page.goto(`${origin}/`);
    const words = String(await page.locator("main").textContent());
    assert.match(words, /^the address has no token; open the link that tinybard printed/);
  });

  test("two dashboards at two ports work in one browser", async () => {
    const other = await openDashboard({ port: 18_450 });
    await other.show({ run: join(folder, "a"), live: null });
    try {
      const { page, errors } = await open(dashboard.url);
      const second = await page.context().newPage();
      await second.goto(other.url);
      for (const tab of [page, second, page]) {
        await tab.reload();
        await until(async () => (await getPosition(tab)) === "1 logged steps", "rows are shown");
      }
      assert.equal(errors, []);
    } finally {
      await other.close();
    }
  });
});
