// The view of how runs learn, in a real browser: a run that is being trained, runs compared, a
// server that goes and comes back, and 10^5 rows.

import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { train } from "tinybard";
import * as assert from "uvu/assert";
import { type Row, readRows } from "#src/runs/metrics.js";
import { inBrowser, type Shown, shiftIn, start, until } from "../support/browser.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-curves-"));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
const tiny = { data, device: "ts", nLayer: 1, nEmbd: 8, nHead: 2, blockSize: 8 } as const;
const brief = { batchSize: 2, evalIters: 1, evalInterval: 20, maxIters: 60, logInterval: 1 };

/** How many rows the page holds of the runs that are chosen. */
async function rowsIn(page: Page): Promise<number> {
  const text = (await page.locator(".place").textContent()) ?? "";
  return Number(/^([\d,]+) rows$/.exec(text)?.[1].replaceAll(",", "") ?? Number.NaN);
}

const choose = (page: Page, run: string) => page.locator(`[data-run=${run}]`);
const isRow = ({ loss }: Row) => loss !== undefined;
const trained = (name: string, options: object) =>
  train({ ...tiny, ...brief, ...options, out: join(folder, name) });

inBrowser("web/curves", (test, open) => {
  const shown: Shown[] = [];
  const begin = async (...words: string[]) => {
    const each = await start(...words);
    shown.push(each);
    return each;
  };
  test.after.each(async () => {
    for (const each of shown.splice(0)) await each.kill();
  });
  test.after(() => rmSync(folder, { recursive: true }));

  test("a live run streams in; pause, save, resume and stop are done by the process", async () => {
    const out = join(folder, "live", "a");
    const sizes = ["--n-layer", "1", "--n-embd", "8", "--n-head", "2", "--block-size", "8"];
    const pace = ["--batch-size", "4", "--max-iters", "900000", "--log-interval", "1"];
    const words = ["--eval-interval", "500", "--eval-iters", "1", "--port", "17900"];
    const from = ["--data", data, "--device", "ts", "--out", out, "--dashboard"];
    const { url, said } = await begin("train", ...from, ...sizes, ...pace, ...words);
    const { page, errors } = await open(url);
    const [pause, save, stop] = ["Pause", "Save now", "Stop"].map((name) =>
      page.locator(`[data-name="${name}"]`),
    );
    const told = page.locator(".control .message");
    const state = page.locator(".state");
    await until(async () => (await rowsIn(page)) > 50, "rows come");
    const first = await rowsIn(page);
    await until(async () => (await rowsIn(page)) > first + 50, "more rows come");
    assert.is(await state.textContent(), "training");
    assert.match(String(await page.locator(".step").textContent()), /^step [\d,]+ of 900,000$/);
    assert.is(await page.locator("#connection").textContent(), "connected");
    assert.ok(await choose(page, "a").isChecked());

    // an evaluation shows what the model writes, and its parameters
    await until(async () => (await page.locator(".parameter").count()) > 0, "histograms come");
    assert.ok(String(await page.locator(".sample-text").textContent()).length > 100);
    assert.is(await page.getByLabel("weight of h.0.attn.c_attn.weight, from", {}).count(), 1);
    assert.is(await page.getByLabel("gradient of wte.weight, from").count(), 1);

    const evaluation = page.getByLabel("step", { exact: true });
    await until(async () => (await evaluation.locator("option").count()) > 2, "a second one comes");
    assert.is(await evaluation.inputValue(), "newest");
    const oldest = await evaluation.locator("option").last().getAttribute("value");
    await evaluation.selectOption(oldest);
    await until(async () => (await evaluation.locator("option").count()) > 3, "and a third");
    assert.is(await evaluation.inputValue(), oldest);

    await pause.click();
    await until(async () => (await state.textContent()) === "paused", "it pauses");
    const paused = Number(
      /^paused at step ([\d,]+)$/.exec(String(await told.textContent()))?.[1].replaceAll(",", ""),
    );
    const held = readRows(out).filter(isRow).length;
    await sleep(400);
    assert.is(readRows(out).filter(isRow).length, held);
    assert.is(held, paused);
    await until(async () => (await rowsIn(page)) === held, "the page holds every row once");

    await save.click();
    await until(
      async () => /^saved at/.test(String(await told.textContent())),
      "the save is confirmed",
    );
    const saved = JSON.parse(readFileSync(join(out, "last", "state.json"), "utf8"));
    assert.is(saved.step, paused);
    assert.is(await save.textContent(), "Save now");

    assert.is(await pause.textContent(), "Resume");
    await pause.click();
    await until(async () => (await rowsIn(page)) > held, "it goes on");
    assert.is(await pause.textContent(), "Pause");
    await stop.click();
    await until(async () => (await state.textContent()) === "stopped", "it stops");
    assert.match(String(await told.textContent()), /^stopped at step [\d,]+, saved$/);
    for (const button of [pause, save, stop]) assert.ok(await button.isDisabled());
    const [, at] = /stopped at step (\d+), saved/.exec(said()) ?? [];
    assert.match(
      String(await page.locator(".step").textContent()),
      `step ${Number(at).toLocaleString("en")} of`,
    );
    assert.equal(errors, []);
  });

  test("runs are compared: the newest first, their differing options, each value once", async () => {
    for (const [name, options] of [
      ["a", { learningRate: 0.01 }],
      ["b", { learningRate: 0.02, nEmbd: 16 }],
      ["c", { learningRate: 0.01, seed: 7, maxIters: 40 }],
    ] as const) {
      await trained(`compared/${name}`, options);
      await sleep(20); // so that one is newer than the other
    }
    const { url } = await begin(
      ...["dashboard", "--run", join(folder, "compared", "a"), "--port", "17900"],
    );
    const { page, errors } = await open(url);
    await until(async () => (await rowsIn(page)) === 40, "the newest run is shown");
    assert.ok(await choose(page, "c").isChecked());
    assert.not(await choose(page, "a").isChecked());
    assert.is(await page.locator(".differing").isVisible(), false);
    assert.is(await page.locator(".control").isVisible(), false);
    await page.getByText("Configuration").click();
    const configuration = page.locator(".options details");
    assert.is(await configuration.getByRole("row", { name: "seed 7", exact: true }).count(), 1);

    await choose(page, "a").check();
    await until(async () => (await rowsIn(page)) === 100, "both are shown");
    const differing = page.locator(".differing tr");
    assert.equal(await differing.allInnerTexts(), ["\tc\ta", "maxIters\t40\t60", "seed\t7\t1337"]);
    await choose(page, "b").check();
    await until(async () => (await rowsIn(page)) === 160, "all are shown");
    assert.equal(await differing.allInnerTexts(), [
      "\tc\tb\ta",
      "learningRate\t0.01\t0.02\t0.01",
      "maxIters\t40\t60\t60",
      "nEmbd\t8\t16\t8",
      "seed\t7\t1337\t1337",
    ]);

    // under the cursor stands what the files say
    const plot = page.locator(".plot").first();
    const box = await plot.boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await until(
      async () => /^step/.test(String(await page.locator(".place").textContent())),
      "hover",
    );
    const step = Number((await page.locator(".place").textContent())?.slice(5));
    assert.ok(step > 20 && step < 40, `step ${step}`);
    for (const [i, run] of ["c", "b", "a"].entries()) {
      const rows = readRows(join(folder, "compared", run));
      const cells = page
        .locator(".large .readout tr")
        .nth(i + 1)
        .locator("td");
      const { loss = 0 } = rows.find((row) => row.step === step) as Row;
      assert.is(await cells.nth(0).textContent(), loss.toFixed(4));
      const evaluated = rows.find((row) => row.step === (step < 30 ? 20 : 40)) as Row;
      if (step !== 30) assert.is(await cells.nth(3).textContent(), evaluated.valLoss?.toFixed(4));
    }
    await choose(page, "b").uncheck();
    await until(async () => (await rowsIn(page)) === 100, "one is hidden");
    await trained("compared/d", { maxIters: 5 });
    await until(async () => (await choose(page, "d").count()) === 1, "a new run is listed");
    assert.is(await rowsIn(page), 100); // and nobody has chosen it
    for (const run of ["a", "c"]) await choose(page, run).uncheck();
    await until(async () => (await rowsIn(page)) === 0, "none is chosen");
    await choose(page, "a").check();
    await until(async () => (await rowsIn(page)) === 60, "and one again, with what was heard");

    const csv = await page.request.get(
      new URL(String(await page.getByLabel("metrics of a as CSV").getAttribute("href")), url).href,
    );
    assert.is((await csv.text()).trimEnd().split("\r\n").length, 62);
    assert.equal(errors, []);
  });

  test("what is shown while the page loads stays where it is, on a phone too", async () => {
    const live = join(folder, "still", "live");
    for (const name of ["a", "b"]) await trained(`still/${name}`, {});
    const ended = await begin("dashboard", "--run", join(folder, "still", "a"), "--port", "17900");
    const pace = ["--max-iters", "900000", "--log-interval", "1", "--port", "17950"];
    const from = ["--data", data, "--device", "ts", "--preset", "bigram", "--out", live];
    const trains = await begin("train", ...from, ...pace, "--dashboard");
    for (const { url } of [ended, trains])
      for (const viewport of [
        { width: 1280, height: 800 },
        { width: 390, height: 844 },
      ]) {
        const { page, errors } = await open(url, { viewport });
        await until(async () => (await rowsIn(page)) > 0, "rows");
        await sleep(200);
        const shift = await shiftIn(page);
        assert.ok(shift < 0.02, `at ${viewport.width} pixels ${shift} of the page has moved`);
        assert.equal(errors, []);
      }
  });

  test("log and linear, steps and time, zoom by mouse and by keyboard, on a phone too", async () => {
    const run = join(folder, "seen", "a");
    await trained("seen/a", {});
    const { url } = await begin("dashboard", "--run", run, "--port", "17900");
    const { page, errors } = await open(url);
    await until(async () => (await rowsIn(page)) === 60, "rows");
    const plot = page.locator(".plot").first();
    const all = page.getByRole("button", { name: "Show all" });
    /** The picture, when it has changed from what it was. */
    const after = async (before: Buffer | null, what: string): Promise<Buffer> => {
      let seen = await plot.screenshot();
      await until(async () => {
        seen = await plot.screenshot();
        return !before?.equals(seen);
      }, what);
      return seen;
    };
    const linear = await after(null, "");
    await page.getByLabel("log", { exact: true }).check();
    const log = await after(linear, "the logarithmic one is another picture");
    await page.getByLabel("time", { exact: true }).check();
    await after(log, "so is that over time");
    await page.getByLabel("steps", { exact: true }).check();
    await page.getByLabel("linear", { exact: true }).check();
    await until(async () => linear.equals(await plot.screenshot()), "and back");
    // a chart in which nothing has changed is not drawn again, but in other colours it is
    const canvases = page.locator(".plot:visible canvas");
    const pictures = () =>
      canvases.evaluateAll((all) => all.map((each) => (each as HTMLCanvasElement).toDataURL()));
    const light = await pictures();
    const draws = () => page.evaluate(() => (window as unknown as { drawn: string[] }).drawn);
    await page.evaluate(() => {
      const drawn: string[] = [];
      Object.assign(window, { drawn });
      const { clearRect } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.clearRect = function (...area) {
        drawn.push(String(this.canvas.closest("figure")?.querySelector("h3")?.textContent));
        clearRect.apply(this, area);
      };
    });
    await page.getByLabel("smoothing").press("ArrowRight");
    await until(async () => (await draws()).length > 0, "smoother");
    await sleep(100);
    assert.equal([...new Set(await draws())], ["Loss"]);
    await page.getByLabel("smoothing").press("ArrowLeft");
    await page.emulateMedia({ colorScheme: "dark" });
    await until(async () => {
      const dark = await pictures();
      return dark.every((each, i) => each !== light[i]);
    }, "in the dark all are drawn anew");
    await page.emulateMedia({ colorScheme: "light" });
    await until(async () => light.join() === (await pictures()).join(), "and back");
    await page.getByLabel("smoothing").press("End");
    const smooth = await after(linear, "smoother");
    await page.getByLabel("validation", { exact: true }).uncheck();
    await after(smooth, "without a curve");

    assert.ok(await all.isDisabled());
    await plot.focus();
    await plot.press("+");
    await until(() => all.isEnabled(), "zoomed");
    await plot.press("Escape");
    await until(() => all.isDisabled(), "all is shown");
    const box = await plot.boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + 200, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + 400, box.y + 50, { steps: 4 });
    await page.mouse.up();
    await until(() => all.isEnabled(), "zoomed by dragging");
    await all.click();

    for (const width of [390, 360]) {
      await page.setViewportSize({ width, height: 800 });
      await sleep(200);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `at ${width} pixels the page is ${wide} wider`);
      for (const control of await page.locator("#curves :is(button, input, a):visible").all()) {
        const place = await control.boundingBox();
        assert.ok(place && place.x >= 0 && place.x + place.width <= width, `${control}`);
      }
    }
    assert.equal(errors, []);
  });

  test("the server goes and comes back: the page goes on where it was, each row once", async () => {
    const run = join(folder, "lost", "a");
    await trained("lost/a", {});
    const file = join(run, "metrics.jsonl");
    const add = (from: number, to: number) => {
      for (let step = from; step < to; step++)
        appendFileSync(file, `${JSON.stringify({ step, elapsedSeconds: step, loss: 2 })}\n`);
    };
    const words = ["dashboard", "--run", run, "--port"];
    const before = await begin(...words, "17900");
    const { page, errors } = await open(before.url);
    const places: (string | undefined)[] = [];
    page.on("request", async (request) => {
      if (new URL(request.url()).pathname !== "/events") return;
      places.push((await request.allHeaders())["last-event-id"]);
    });
    await until(async () => (await rowsIn(page)) === 60, "rows");
    add(61, 71);
    await until(async () => (await rowsIn(page)) === 70, "rows are added");
    const size = statSync(file).size;
    assert.equal(errors, []);
    await before.kill();
    const connection = page.locator("#connection");
    await until(
      async () => (await connection.textContent()) === "connection lost, reconnecting…",
      "the loss is told",
    );
    add(71, 81);
    const again = await begin(...words, new URL(before.url).port);
    assert.is(again.url, before.url);
    await until(async () => (await rowsIn(page)) === 80, "the rows since then come");
    assert.is(await connection.textContent(), "connected");
    await sleep(500);
    assert.is(await rowsIn(page), 80);
    assert.match(String(places.at(-1)), new RegExp(`^a:${size}:\\d+$`));

    // it is resumed from before while the server is not there, and outgrows what was read
    await again.kill();
    const read = statSync(file).size;
    const kept = readFileSync(file, "utf8").split("\n").slice(0, 50);
    writeFileSync(file, `${kept.join("\n")}\n`);
    const anew = (step: number) => `${JSON.stringify({ step, elapsedSeconds: step, loss: 3 })}\n`;
    for (let step = 50; statSync(file).size <= read; step += 10) appendFileSync(file, anew(step));
    await begin(...words, new URL(before.url).port);
    const left = readRows(run).filter(isRow).length;
    await until(async () => (await rowsIn(page)) === left, "what was dropped is dropped here");

    // it is resumed from before: what it had written since is written anew
    const lines = readFileSync(file, "utf8").split("\n").slice(0, 30);
    writeFileSync(file, `${lines.join("\n")}\n`);
    await until(async () => (await rowsIn(page)) === 30, "the rows are dropped");
    writeFileSync(file, "");
    await until(async () => (await rowsIn(page)) === 0, "all are");
    // no error but that the server was not there
    assert.equal(
      errors.filter((error) => !error.includes("Failed to load resource")),
      [],
    );
  });

  test("10^5 rows are shown, more stream in, and the page stays quick and still", async () => {
    const run = join(folder, "long", "a");
    await trained("short/a", { maxIters: 1 });
    mkdirSync(run, { recursive: true });
    copyFileSync(join(folder, "short", "a", "config.json"), join(run, "config.json"));
    const file = join(run, "metrics.jsonl");
    const row = (step: number) => {
      const loss = 1.5 + Math.exp(-step / 1e4) + 0.1 * Math.sin(step * step);
      const [lr, gradNorm, tokensPerSecond] = [1e-3, 1 + (step % 7) / 7, 30000 + (step % 100)];
      const losses = step % 1000 ? {} : { trainLoss: loss, valLoss: loss + 0.1 };
      const rest = { lr, gradNorm, tokensPerSecond, elapsedSeconds: step / 100, ...losses };
      return `${JSON.stringify({ step, loss, ...rest })}\n`;
    };
    writeFileSync(file, Array.from({ length: 1e5 }, (_, step) => row(step)).join(""));
    const { url } = await begin("dashboard", "--run", run, "--port", "17900");
    const { page, errors } = await open(url);
    const isAll = async () => (await rowsIn(page)) === 1e5;
    await until(isAll, "all rows come", 30);
    await page.evaluate(() => {
      const seen = { longest: 0, shift: 0 };
      Object.assign(window, { seen });
      const each = (type: string, take: (entry: PerformanceEntry & { value: number }) => void) =>
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries())
            take(entry as PerformanceEntry & { value: number });
        }).observe({ type });
      each("longtask", ({ duration }) => {
        seen.longest = Math.max(seen.longest, duration);
      });
      each("layout-shift", ({ value }) => {
        seen.shift += value;
      });
    });
    for (let step = 1e5; step < 1e5 + 100; step++) {
      appendFileSync(file, row(step));
      await sleep(20);
    }
    await until(async () => (await rowsIn(page)) === 1e5 + 100, "what is added comes");
    for (let i = 0; i < 10; i++) await page.getByLabel("smoothing").press("ArrowRight");
    const { longest, shift } = await page.evaluate(
      () => (window as unknown as { seen: { longest: number; shift: number } }).seen,
    );
    // 20 ms on two cores that had other work; a machine of many tests is given much more
    assert.ok(longest < 400, `a task took ${longest} ms`);
    assert.is(shift, 0);
    assert.equal(errors, []);
  });
});
