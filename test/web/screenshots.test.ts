// The screenshots of the dashboard in the README. The test takes them again from a real run and
// compares them loosely. TINYBARD_SCREENSHOTS=write npm test -- screenshots updates them.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { devices, train } from "tinybard";
import * as assert from "uvu/assert";
import { type DashboardProcess, inBrowser, startDashboard } from "../support/browser.js";

const imageFolder = fileURLToPath(new URL("../../docs/img", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tinybard-screenshots-"));
const size = { width: 1280, height: 1060 };

/** The largest mean difference of two screenshots over cells of 20 x 20 pixels, from 0 to 1. */
const MAX_DIFFERENCE = 0.06;

/** For each screenshot: the color scheme, and the interactions before it is taken. */
const views: Record<string, { dark: boolean; prepare(page: Page): Promise<void> }> = {
  curves: {
    dark: false,
    async prepare(page) {
      for (const box of await page.getByRole("checkbox").all()) await box.check();
      await page.getByText("Weights (left) and gradients (right)").waitFor();
    },
  },
  model: {
    dark: true,
    async prepare(page) {
      const text = page.getByLabel("text", { exact: true });
      await text.fill("there she blows! the white whale");
      await page.getByRole("button", { name: "layer 2, head 2" }).click();
    },
  },
  autograd: {
    dark: false,
    async prepare(page) {
      for (let step = 0; step < 4; step++)
        await page.getByRole("button", { name: "forward" }).click();
    },
  },
};

inBrowser("web/screenshots", (test, open) => {
  const isFast = devices().some(({ name, available }) => name === "cpu" && available);
  if (!isFast) {
    console.log(
      "skipped: the dashboard's screenshots: without the C++ addon training takes minutes",
    );
    test.skip("needs the C++ addon");
    return;
  }
  let dashboard: DashboardProcess;
  test.before(async () => {
    const shared = { preset: "lecture-0.2m", data: "moby-dick", device: "cpu" } as const;
    const options = { ...shared, maxIters: 800, evalInterval: 100, evalIters: 10 };
    await train({ ...options, learningRate: 3e-4, out: join(folder, "slower") });
    await train({ ...options, out: join(folder, "lecture") });
    dashboard = await startDashboard(
      "dashboard",
      "--run",
      join(folder, "lecture"),
      "--port",
      "19860",
    );
  });
  test.after(async () => {
    await dashboard.kill();
    rmSync(folder, { recursive: true });
  });

  for (const [name, { dark, prepare }] of Object.entries(views))
    test(`the screenshot of the ${name} view matches the page`, async () => {
      const scheme = dark ? "dark" : "light";
      const { page, errors } = await open(`${dashboard.url}#${name}`, {
        viewport: size,
        colorScheme: scheme,
      });
      await prepare(page);
      await page.waitForTimeout(1000);
      const current = await page.screenshot();
      assert.equal(errors, []);
      const file = join(imageFolder, `dashboard-${name}.png`);
      if (process.env.TINYBARD_SCREENSHOTS === "write") writeFileSync(file, current);
      assert.ok(existsSync(file), `${file} exists`);
      const difference = await computeDifference(page, current, readFileSync(file));
      assert.ok(difference < MAX_DIFFERENCE, `the difference is ${difference}`);
      const contrast = await computeDifference(page, current, null);
      assert.ok(contrast > 0.005, "the page is not blank");
    });
});

/**
 * Returns the mean absolute difference in brightness between the cells of two screenshots, or, if b
 * is null, between those of one screenshot and their mean.
 */
function computeDifference(page: Page, a: Buffer, b: Buffer | null): Promise<number> {
  return page.evaluate(
    async ([first, second]) => {
      const getCells = async (base64: string) => {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const canvas = new OffscreenCanvas(64, 53);
        const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
        context.imageSmoothingQuality = "high";
        context.drawImage(bitmap, 0, 0, 64, 53);
        const { data } = context.getImageData(0, 0, 64, 53);
        return Array.from({ length: 64 * 53 }, (_, i) => data[4 * i + 1] / 255);
      };
      const x = await getCells(first as string);
      const mean = x.reduce((sum, value) => sum + value) / x.length;
      const y = second === null ? x.map(() => mean) : await getCells(second);
      return x.reduce((sum, value, i) => sum + Math.abs(value - y[i]), 0) / x.length;
    },
    [a.toString("base64"), b?.toString("base64") ?? null] as const,
  );
}
