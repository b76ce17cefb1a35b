// The pictures of the dashboard in the README: taken from a real run, and held loosely to what the
// page looks like now. TINYBARD_SCREENSHOTS=write npm test -- screenshots takes them anew.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { devices, train } from "tinybard";
import * as assert from "uvu/assert";
import { inBrowser, type Shown, start } from "../support/browser.js";

const pictures = fileURLToPath(new URL("../../docs/img", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tinybard-screenshots-"));
const size = { width: 1280, height: 1060 };

/** How far apart two pictures may be in the mean, of cells of 20 x 20 pixels, from 0 to 1. */
const MOST = 0.06;

/** What is to be seen in each picture, and how one gets there. */
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
      await page.locator("#model textarea").fill("there she blows! the white whale");
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
    console.log("skipped: the dashboard's pictures: without the C++ addon their run takes minutes");
    test.skip("needs the C++ addon");
    return;
  }
  let shown: Shown;
  test.before(async () => {
    const shared = { preset: "lecture-0.2m", data: "moby-dick", device: "cpu" } as const;
    const brief = { ...shared, maxIters: 800, evalInterval: 100, evalIters: 10 };
    await train({ ...brief, learningRate: 3e-4, out: join(folder, "slower") });
    await train({ ...brief, out: join(folder, "lecture") });
    shown = await start("dashboard", "--run", join(folder, "lecture"), "--port", "19860");
  });
  test.after(async () => {
    await shown.kill();
    rmSync(folder, { recursive: true });
  });

  for (const [name, { dark, prepare }] of Object.entries(views))
    test(`the picture of ${name} is what the page looks like`, async () => {
      const scheme = dark ? "dark" : "light";
      const { page, errors } = await open(`${shown.url}#${name}`, {
        viewport: size,
        colorScheme: scheme,
      });
      await prepare(page);
      await page.waitForTimeout(1000);
      const now = await page.screenshot();
      assert.equal(errors, []);
      const file = join(pictures, `dashboard-${name}.png`);
      if (process.env.TINYBARD_SCREENSHOTS === "write") writeFileSync(file, now);
      assert.ok(existsSync(file), `${file} is there`);
      const apart = await difference(page, now, readFileSync(file));
      assert.ok(apart < MOST, `the picture and the page are ${apart} apart`);
      const blank = await difference(page, now, null);
      assert.ok(blank > 0.005, "there is something to be seen");
    });
});

/** The mean difference of brightness between two pictures, or one and its mean, cell by cell. */
function difference(page: Page, a: Buffer, b: Buffer | null): Promise<number> {
  return page.evaluate(
    async ([first, second]) => {
      const cells = async (base64: string) => {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const canvas = new OffscreenCanvas(64, 53);
        const context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D;
        context.imageSmoothingQuality = "high";
        context.drawImage(bitmap, 0, 0, 64, 53);
        const { data } = context.getImageData(0, 0, 64, 53);
        return Array.from({ length: 64 * 53 }, (_, i) => data[4 * i + 1] / 255);
      };
      const x = await cells(first as string);
      const mean = x.reduce((sum, each) => sum + each) / x.length;
      const y = second === null ? x.map(() => mean) : await cells(second);
      return x.reduce((sum, each, i) => sum + Math.abs(each - y[i]), 0) / x.length;
    },
    [a.toString("base64"), b?.toString("base64") ?? null] as const,
  );
}
