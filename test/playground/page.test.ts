// The playground in Chromium: it trains, writes, keeps runs and opens them, works by keyboard, on a
// phone and offline.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Page } from "playwright-core";
import { device, generate, train } from "tinybard";
import * as assert from "uvu/assert";
import { readZip } from "#src/playground/zip.js";
import { loadRun } from "#src/runs/load.js";
import { inBrowser, until } from "../support/browser.js";
import { buildSite, isolation, serveFolder } from "./site.js";

/** Settings with which a step takes less than a millisecond, and a test ends before the training. */
const FAST = "#nLayer=1&nHead=2&nEmbd=16&blockSize=8&batchSize=4&maxIters=100000";

/** The longest time to the first step, in ms: it is longer without WebAssembly. */
const FIRST_STEP = { wasm: 2000, ts: 12_000 };

/** Returns the number of steps that the page shows; 0 before there are any. */
const getStep = (page: Page) =>
  page.evaluate(() => {
    const text = document.querySelector(".stats dd")?.firstChild?.textContent ?? "";
    return Number(text.replaceAll(",", "")) || 0;
  });
const waitForStep = (page: Page, step: number) =>
  until(async () => (await getStep(page)) >= step, `step ${step} is reached`);
const getStat = (page: Page, index: number) => page.locator(".stats dd").nth(index).textContent();

inBrowser("playground/page", (test, open) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-page-"));
  let site: Awaited<ReturnType<typeof buildSite>>;
  let server: Awaited<ReturnType<typeof serveFolder>>;
  test.before(async () => {
    site = await buildSite();
    server = await serveFolder(site.folder, "/tinybard/", isolation);
  });
  test.after(async () => {
    await server.close();
    site.remove();
    rmSync(folder, { recursive: true });
  });

  test("it trains at once, the loss falls, it writes, and it can be paused", async () => {
    const { page, errors } = await open(server.url);
    const start = performance.now();
    await waitForStep(page, 1);
    const elapsed = performance.now() - start;
    const kind = (await page.textContent("#device"))?.startsWith("WebAssembly") ? "wasm" : "ts";
    assert.ok(elapsed < FIRST_STEP[kind], `the first step was seen after ${elapsed} ms`);
    const fast = await open(server.url + FAST);
    await waitForStep(fast.page, 300);
    assert.ok(Number(await getStat(fast.page, 1)) < 3.3, "the loss is that of guessing");
    assert.match((await getStat(fast.page, 3)) as string, /^\d+ K$|^\d{4}$|^4 K$/);
    const sample = () => fast.page.textContent(".writing .page");
    await until(async () => ((await sample())?.length ?? 0) > 150, "a sample is written");
    await fast.page.getByRole("button", { name: "Pause" }).click();
    await fast.page.getByRole("button", { name: "Continue" }).waitFor();
    assert.match((await fast.page.textContent("#status")) as string, /^Paused at step \d+/);
    const paused = await getStep(fast.page);
    await fast.page.waitForTimeout(300);
    assert.is(await getStep(fast.page), paused);
    await fast.page.getByRole("button", { name: "Continue" }).click();
    await waitForStep(fast.page, paused + 20);
    assert.ok((await fast.page.locator(".history li").count()) > 0);
    assert.equal([...errors, ...fast.errors], []);
  });

  test("a reload continues the run; a link starts another; Save keeps one", async () => {
    const { page, errors } = await open(server.url + FAST);
    await waitForStep(page, 50);
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText(/^Saved at step/).waitFor();
    const storage = await page.context().newCDPSession(page);
    const { origin } = new URL(server.url);
    await storage.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("The browser's storage is full.").waitFor();
    await storage.send("Storage.overrideQuotaForOrigin", { origin });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText(/^Saved at step/).waitFor();
    const saved = Number((await page.textContent(".files .message"))?.replaceAll(/\D/g, ""));
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Continue" }).waitFor();
    const step = await getStep(page);
    await page.waitForTimeout(500); // a pause saves
    assert.ok(page.url().endsWith(FAST), page.url());
    await page.reload();
    await waitForStep(page, step);
    assert.ok((await page.locator(".stats dd").first().textContent())?.includes("of 100,000"));
    await page.goto(`${server.url}#nLayer=2&nHead=2&nEmbd=16&blockSize=8&batchSize=4`);
    const layers = page.getByLabel("layers");
    await until(
      async () => (await layers.getAttribute("aria-valuetext").catch(() => "")) === "2",
      "the link is opened",
    );
    await waitForStep(page, 1);
    await page.getByRole("button", { name: "Open saved" }).click();
    await until(async () => page.url().endsWith(FAST), "the saved run is open");
    await waitForStep(page, saved);
    assert.equal(errors, []);
  });

  test("hostile links are refused politely", async () => {
    for (const fragment of [
      "#nLayer=1e9",
      "#x=<img src=x onerror=alert(1)>",
      "#__proto__=1",
      "#nHead=5",
      "#%",
    ]) {
      const { page, errors } = await open(server.url + fragment);
      const notice = page.getByRole("alert").filter({ hasText: "This link cannot be used" });
      await notice.waitFor();
      assert.is(await page.locator("#notice img").count(), 0);
      assert.is(await page.getByLabel("layers").getAttribute("aria-valuetext"), "4");
      assert.equal(errors, []);
      await page.context().close();
    }
  });

  test("a download is a run of the program, and the page opens runs of the program", async () => {
    const { page, errors } = await open(server.url + FAST);
    await waitForStep(page, 200);
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download" }).click();
    const archive = readFileSync(await (await download).path());
    const files = await readZip(new Uint8Array(archive));
    for (const [path, content] of files) {
      const file = join(folder, "page", path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    const { model, tokenizer, state } = loadRun(join(folder, "page"), device("ts"));
    assert.ok(state.step >= 200);
    const prompt = tokenizer.encode("Ann");
    const ids: number[] = [];
    for await (const id of generate(model, { prompt, maxNewTokens: 20, seed: 1 })) ids.push(id);
    assert.is(tokenizer.decode(ids).length, 20);

    const data = join(folder, "text.txt");
    writeFileSync(data, "to be or not to be, that is the question\n".repeat(200));
    const out = join(folder, "program");
    const sizes = { nLayer: 1, nHead: 2, nEmbd: 16, blockSize: 8, batchSize: 4 };
    await train({ ...sizes, data, out, maxIters: 30, evalInterval: 30, evalIters: 2 });
    await page.getByLabel("Open folder").setInputFiles(out);
    await page.getByText("This model came without its text").waitFor();
    assert.is(await getStep(page), 30);
    await page.getByRole("button", { name: "Write" }).click();
    await until(async () => {
      const text = (await page.textContent(".writing .page")) ?? "";
      return text.length > 100 && /^[a-z ,\n]+$/.test(text);
    }, "the model of the program writes");
    await page.getByLabel("yours").check({ force: true });
    await page.getByLabel("your text").fill(readFileSync(data, "utf8"));
    await page.getByRole("button", { name: "Train on this text" }).click();
    await page.getByRole("button", { name: "Train longer" }).waitFor();
    await page.getByRole("button", { name: "Train longer" }).click();
    await waitForStep(page, 60);
    await page.getByLabel("Open", { exact: true }).setInputFiles({
      name: "broken.zip",
      mimeType: "application/zip",
      buffer: archive.subarray(0, 5000),
    });
    await page.locator(".files .message.error").getByText("zip").waitFor();
    await page.evaluate(() => {
      type Fail = (error: Error) => void;
      const file = (_: unknown, fail: Fail) => fail(new Error("it was removed"));
      const entry = { isFile: true, name: "gone.txt", file };
      const dataTransfer = { items: [{ webkitGetAsEntry: () => entry }], getData: () => "" };
      document.body.dispatchEvent(
        Object.assign(new Event("drop", { bubbles: true, cancelable: true }), { dataTransfer }),
      );
    });
    await page.getByText("cannot read gone.txt: it was removed").waitFor();
    assert.equal(errors, []);
  });

  test("settings: presets, sliders, a text of one's own, and mistakes", async () => {
    const { page, errors } = await open(server.url + FAST);
    await waitForStep(page, 5);
    await page.getByLabel("yours").check({ force: true });
    await page.getByLabel("your text").fill("too short");
    const restart = page.getByRole("button", { name: /^Start over/ }).last();
    await restart.click();
    await page.getByText(/train split of your text has 8 tokens/).waitFor();
    const paste = (count: number) =>
      page.getByLabel("your text").evaluate((area, count) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", "from the clipboard\r\n".repeat(count));
        const options = { clipboardData, bubbles: true, cancelable: true };
        area.dispatchEvent(new ClipboardEvent("paste", options));
      }, count);
    await paste(2_000_000);
    await page.getByText(/^the text has more than 20 MB/).waitFor();
    await paste(20_000);
    await page.getByText("your text: 380,000 characters").waitFor();
    await page.getByLabel("your text").fill("hello world, how are you today?\n".repeat(300));
    await page.getByLabel("tokens").selectOption("word");
    await page.getByLabel("heads").fill("0");
    await page.getByText("The running training still has the old settings.").waitFor();
    await restart.click();
    await until(async () => page.url().includes("tokenizer=word"), "the new run has started");
    await waitForStep(page, 30);
    assert.ok(page.url().includes("nHead=1"), page.url());
    assert.not(page.url().includes("text="));
    assert.ok(await page.locator("#notice").isHidden());
    await page.getByLabel("learning rate").fill("3");
    assert.ok(page.url().includes("learningRate=0.001"), page.url());
    await page.getByLabel("begin with").fill("hello");
    await page.getByRole("button", { name: "Write" }).click();
    const sample = () => page.textContent(".writing .page");
    await until(async () => (await sample())?.startsWith("hello") ?? false, "the prompt is used");
    assert.equal(errors, []);
  });

  test("many runs started in a row leave the last one, and one worker that trains", async () => {
    const { page, errors } = await open(server.url + FAST);
    await waitForStep(page, 1);
    const restart = page.locator("#transport").getByRole("button", { name: "Start over" });
    for (let i = 0; i < 8; i++) await restart.click();
    const countWorkers = () =>
      page.workers().filter((worker) => worker.url().endsWith("train-worker.js")).length;
    await until(() => countWorkers() === 1, "the other workers have ended");
    const step = await getStep(page);
    await until(async () => (await getStep(page)) !== step, "it trains");
    assert.equal(errors, []);
  });

  test("the code of lessons has no globals of Node", () => {
    const file = readdirSync(site.folder, { recursive: true })
      .map(String)
      .find((name) => name.endsWith("lessons.json"));
    const lessons = JSON.parse(readFileSync(join(site.folder, String(file)), "utf8"));
    assert.is(lessons.length, 17);
    for (const { name, code } of lessons)
      assert.not.match(code, /(?<![\w.$"'`])(process|Buffer|require|setImmediate)[.([]/, name);
  });

  test("the attention, autograd and lesson views", async () => {
    const { page, errors } = await open(server.url + FAST);
    await waitForStep(page, 5);
    await page.getByRole("tab", { name: "Attention" }).click();
    await until(async () => (await page.locator(".heads button").count()) === 2, "two heads");
    await page.locator("#model textarea").fill("Anna");
    await until(async () => (await page.locator(".tokens .token").count()) === 4, "four tokens");
    await page.getByText("Next token after “a”").waitFor();
    const note = () => page.textContent("#model .note");
    const before = await note();
    await until(async () => (await note()) !== before, "the view follows the training");
    await page.getByRole("tab", { name: "Autograd" }).click();
    await page.waitForSelector("svg.graph");
    await page.getByLabel("step forward").click();
    assert.is(await page.textContent("#autograd .note"), "dy = 1");
    await page.getByRole("tab", { name: "Lessons" }).click();
    const run = page.getByRole("button", { name: "Run", exact: true });
    await page.locator(".lesson-list button").nth(2).click();
    await page.locator("#lessons").getByRole("button", { name: "Run" }).click();
    await page.getByText(/^Done in/).waitFor();
    assert.match((await page.textContent(".output")) as string, /gradients: x -1.5 0.5/);
    assert.is(await page.locator(".output img").count(), 1);
    const code = page.getByLabel("code of the lesson");
    await code.fill(
      'import { tensor } from "tinybard";\nexport function lesson() {\n  tensor([1]).x();\n}',
    );
    await run.last().click();
    await page
      .locator("#lessons .message")
      .getByText(/^line 3: TypeError/)
      .waitFor();
    await page.getByRole("button", { name: "Reset the code" }).click();
    assert.ok((await code.inputValue()).includes("class TensorMLP"));
    assert.equal(errors, []);
  });

  test("by keyboard: tabs, buttons, sliders and fields, each with a visible focus", async () => {
    const { page, errors } = await open(server.url + FAST);
    await waitForStep(page, 1);
    const focused = () =>
      page.evaluate(() => {
        const { activeElement } = document;
        if (activeElement === document.body) return { name: "", hasOutline: true }; // the end
        const target = activeElement?.closest(".button, .segments label") ?? activeElement;
        const { outlineStyle } = getComputedStyle(target as Element);
        const name = activeElement?.getAttribute("aria-label") ?? activeElement?.textContent ?? "";
        const label = (activeElement as HTMLInputElement)?.labels?.[0]?.textContent ?? "";
        return { name: (label || name).trim(), hasOutline: outlineStyle !== "none" };
      });
    const seen: string[] = [];
    for (let i = 0; i < 34; i++) {
      await page.keyboard.press("Tab");
      const { name, hasOutline } = await focused();
      if (name === "") continue;
      seen.push(name);
      assert.ok(hasOutline, `${name} has no visible focus`);
    }
    const order = ["Train", "Pause", "Start over", "begin with", "temperature", "Write", "layers"];
    let position = -1;
    for (const name of order) {
      const next = seen.findIndex((other) => other.startsWith(name));
      assert.ok(next > position, `${name} in ${seen.join(" | ")}`);
      position = next;
    }
    await page.getByRole("tab", { name: "Train" }).focus();
    await page.keyboard.press("ArrowRight");
    assert.is(
      await page.getByRole("tab", { name: "Attention" }).getAttribute("aria-selected"),
      "true",
    );
    await page.keyboard.press("Home");
    await page.getByRole("button", { name: "Pause" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Continue" }).waitFor();
    await page.keyboard.press("Space");
    await page.getByRole("button", { name: "Pause" }).waitFor();
    assert.equal(errors, []);
  });

  for (const width of [360, 1280])
    test(`no view is wider than a screen of ${width} pixels`, async () => {
      const isMobile = width < 500;
      const options = { viewport: { width, height: 800 }, isMobile, hasTouch: isMobile };
      const { page, errors } = await open(server.url + FAST, options);
      await waitForStep(page, 5);
      for (const name of ["Train", "Attention", "Autograd", "Lessons"]) {
        await page.getByRole("tab", { name }).click();
        await page.waitForTimeout(400);
        const overflow = () =>
          page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok((await overflow()) <= 0, `${name}: ${await overflow()} pixels too wide`);
      }
      assert.equal(errors, []);
    });

  test("a plain server is enough: the service worker adds threads and works offline", async () => {
    const own = await serveFolder(site.folder, "/a/b/");
    const { page, errors } = await open(own.url + FAST);
    await page.waitForURL(own.url + FAST); // the page is loaded again
    await page.waitForFunction(() => crossOriginIsolated);
    await waitForStep(page, 1);
    const countKept = () =>
      page.evaluate(async () => {
        const [name] = await caches.keys();
        return name ? (await (await caches.open(name)).keys()).length : 0;
      });
    await until(async () => (await countKept()) >= 20, "files are kept");
    let previous = -1;
    await until(async () => {
      const count = await countKept();
      const isComplete = count === previous;
      previous = count;
      await page.waitForTimeout(300);
      return isComplete;
    }, "all files are kept");
    await own.close();
    await page.reload();
    await waitForStep(page, 1);
    await page.getByRole("tab", { name: "Lessons" }).click();
    await page.locator(".lesson-list button").nth(1).click();
    await page.locator("#lessons").getByRole("button", { name: "Run" }).click();
    await page.getByText(/^Done in/).waitFor();
    assert.equal(
      errors.filter((error) => !error.includes("ERR_CONNECTION_REFUSED")),
      [],
    );
  });
});
