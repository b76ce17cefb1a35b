// The Model view in Chromium, compared with the server's responses and the library's results.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { type GPT, generate, setDefaultDevice, train } from "tinybard";
import * as assert from "uvu/assert";
import { device } from "#src/backend/devices.js";
import { loadRun } from "#src/runs/load.js";
import { type Dashboard, openDashboard } from "#src/web/dashboard.js";
import { getLayoutShift, inBrowser, type Open, until } from "../support/browser.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-model-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\nWhether 'tis nobler\n".repeat(40));
const config = { nLayer: 2, nHead: 3, nEmbd: 24, blockSize: 32, batchSize: 4, evalIters: 1 };
const options = { data, ...config, maxIters: 60, evalInterval: 60, logInterval: 60 };
const run = join(folder, "gpt");
let dashboard: Dashboard;
let open: Open;
let page: Page;
let errors: string[];

/** Opens the view with a text and waits until it is analyzed. */
async function openView(text: string, options = {}): Promise<void> {
  ({ page, errors } = await open(`${dashboard.url}#model`, options));
  await page.waitForFunction(() => document.querySelectorAll("#model .tokens span").length > 0);
  await page.getByRole("combobox", { name: "run", exact: true }).selectOption("gpt");
  await typeText(text);
}

/** Replaces the text and waits until it is analyzed. */
async function typeText(text: string): Promise<void> {
  await page.getByLabel("text", { exact: true }).fill(text);
  await until(async () => (await getTokens()).length === text.length, "the tokens are shown");
  const last = text.at(-1)?.replace(" ", "·");
  await page.getByRole("heading", { name: `Next token after “${last}”` }).waitFor();
}

const getTokens = () => page.locator("#model .tokens .token").allTextContents();

/** Sends a request of the page to the server. Returns its binary response. */
async function fetchFloats(path: string, body?: object): Promise<Float32Array> {
  const headers = { "content-type": "application/json" };
  const options = body && { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(new URL(path, dashboard.url), options);
  return new Float32Array(await response.arrayBuffer());
}

/** Moves the mouse to the center of a matrix element on a canvas. */
async function hover(canvas: Locator, [row, rows]: number[], [column, columns]: number[]) {
  await canvas.scrollIntoViewIfNeeded();
  const box = (await canvas.boundingBox()) ?? assert.unreachable("no box");
  const { width, height } = box as { width: number; height: number };
  const position = { x: ((column + 0.5) / columns) * width, y: ((row + 0.5) / rows) * height };
  await canvas.hover({ position });
}

const setSlider = (name: string, value: number) => page.getByLabel(name).fill(String(value));
const getBars = () =>
  page.locator("#model .bars li").evaluateAll((items) =>
    items
      .filter((item) => getComputedStyle(item).visibility === "visible")
      .map((item) => ({
        token: item.children[0].textContent,
        value: item.children[2].textContent,
        isCut: item.classList.contains("cut"),
      })),
  );

inBrowser("web/model", (test, opens) => {
  open = opens;
  test.before(async () => {
    setDefaultDevice("ts");
    await train({ ...options, device: "ts", model: "bigram", out: join(folder, "bigram") });
    await train({ ...options, device: "ts", out: run });
    cpSync(run, join(folder, "talk"), { recursive: true });
    const template = "{% for m in messages %}{{ m.content }}\n{% endfor %}";
    const chat = { template, tokens: { bos_token: "", eos_token: "" }, stop: [] };
    writeFileSync(join(folder, "talk", "chat.json"), JSON.stringify(chat));
    dashboard = await openDashboard({ port: 18500, token: false });
    await dashboard.show({ run, live: null });
  });
  test.after(async () => {
    await dashboard?.close();
  });

  test("a text becomes tokens; an unknown character is reported", async () => {
    await openView("not to be");
    assert.equal(await getTokens(), [..."not·to·be"]);
    await page.getByLabel("text", { exact: true }).fill("not {");
    await page.getByText('character "{" (U+007B) at position 4').waitFor();
    assert.ok(errors.splice(0).every((error) => error.includes("400 (Bad Request)")));
    await typeText("to be");
    assert.is(await page.getByRole("alert").textContent(), "");
    await page
      .getByLabel("text", { exact: true })
      .fill("To be, or not to be, that is the question");
    await page.getByText("Showing the last 32 tokens; the 9 before them are ignored").waitFor();
    await until(async () => (await getTokens()).length === 32, "the last 32 tokens are shown");
    await page.locator("#model .token[aria-selected=true]").press("ArrowLeft");
    await page.getByRole("heading", { name: "Next token after “o”" }).waitFor();
    assert.equal(errors, []);
  });

  test("a chat: hidden without a template; an answer, an error, a new chat", async () => {
    await openView("not to be");
    assert.is(await page.locator("#model .chat").isVisible(), false);
    await page.getByRole("combobox", { name: "run", exact: true }).selectOption("talk");
    const message = page.getByLabel("message", { exact: true });
    await message.fill("to be");
    await page.locator("#model .chat").getByLabel("tokens").fill("6");
    await message.press("Enter");
    const answers = page.locator("#model .message.assistant");
    await until(async () => (await answers.first().textContent())?.length === 6, "an answer");
    assert.is(await page.locator("#model .message.user").textContent(), "to be");
    await message.fill("{");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText('character "{" (U+007B)').waitFor();
    assert.is(await message.inputValue(), "{", "the message can be corrected");
    assert.is(await answers.count(), 1);
    assert.ok(errors.splice(0).every((error) => error.includes("400 (Bad Request)")));
    await page.getByRole("button", { name: "New chat" }).click();
    assert.is(await answers.count(), 0);
    assert.equal(errors, []);
  });

  test("loading causes no layout shift, on a desktop or a phone", async () => {
    for (const width of [1280, 390]) {
      const visit = await open(`${dashboard.url}#model`, { viewport: { width, height: 800 } });
      await visit.page.locator("#model .tables canvas").waitFor();
      const shift = await getLayoutShift(visit.page);
      assert.ok(shift < 0.02, `layout shift of ${shift} at ${width} pixels`);
    }
  });

  test("attention: the weight under the mouse or the keyboard cursor", async () => {
    await openView("not to be");
    const T = 9;
    const weights = await fetchFloats("/attention", { run: "gpt", text: "not to be" });
    assert.is(weights.length, 2 * 3 * T * T);
    const weight = (row: number, column: number) => {
      const layer = 1;
      const head = 2;
      return weights[((layer * 3 + head) * T + row) * T + column].toFixed(4);
    };
    await page.getByRole("button", { name: "layer 2, head 3" }).press("Enter");
    await page.getByRole("heading", { name: "layer 2, head 3" }).waitFor();
    const canvas = page.getByLabel("attention of layer 2, head 3");
    const readout = page.locator("#model .attention .readout");
    await hover(canvas, [5, T], [2, T]);
    assert.is(await readout.textContent(), `“o” (5) attends to “t” (2): ${weight(5, 2)}`);
    await hover(canvas, [2, T], [5, T]);
    assert.is(await readout.textContent(), "“t” (2) cannot attend to “o” (5), which comes later");
    await page.mouse.move(0, 0);
    assert.match(String(await readout.textContent()), /Point at the map/);
    await canvas.focus();
    for (const key of ["ArrowUp", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowLeft"])
      await page.keyboard.press(key);
    assert.is(await readout.textContent(), `“b” (7) attends to “o” (5): ${weight(7, 5)}`);
    // one pixel per element: the first token attends to itself, and the second one is masked
    const pixels = await canvas.evaluate((canvas: HTMLCanvasElement) => [
      ...(canvas.getContext("2d")?.getImageData(0, 0, 2, 1).data ?? []),
    ]);
    assert.equal([pixels[3], pixels[7]], [255, 0]);
    assert.equal(errors, []);
  });

  test("next token: the bars show the model's output, and the sliders modify it", async () => {
    await openView("not to b");
    const { tokenizer } = loadRun(run);
    const logits = await fetchFloats("/logits", { run: "gpt", text: "not to b", position: 7 });
    const weights = logits.map((x) => Math.exp(x));
    const sum = weights.reduce((a, b) => a + b);
    const ids = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
    const list = await getBars();
    assert.is(list.length, 20);
    for (const [i, { token, value }] of list.entries()) {
      assert.is(token, tokenizer.decode([ids[i]]).replace(" ", "·").replace("\n", "↵"));
      assert.ok(Math.abs(Number.parseFloat(String(value)) - (100 * weights[ids[i]]) / sum) < 0.06);
    }
    const entropy = page.locator("#model .next output").last();
    await setSlider("temperature", 0);
    assert.equal(
      (await getBars()).map(({ isCut }) => isCut),
      [false, ...Array(19).fill(true)],
    );
    assert.is((await getBars())[0].value, "100.0%");
    assert.match(String(await entropy.textContent()), /^Entropy 0.00 bits .* 1 of/);
    await setSlider("temperature", 1);
    const V = tokenizer.vocabSize;
    await setSlider("top-k", 50);
    const k = Math.round(Math.sqrt(V));
    assert.is((await getBars()).filter(({ isCut }) => !isCut).length, k);
    await page.getByRole("button", { name: "Reset" }).click();
    assert.equal(await getBars(), list);
    await setSlider("top-p", 0.3);
    let keptCount = 0;
    let share = 0;
    while (share < 0.3) {
      share += weights[ids[keptCount]] / sum;
      keptCount++;
    }
    assert.is((await getBars()).filter(({ isCut }) => !isCut).length, keptCount);
    assert.equal(errors, []);
  });

  test("generation streams, can be stopped, and causes no layout shift", async () => {
    await openView("not to be");
    await page.evaluate(() => {
      const observed = { shift: 0 };
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries())
          observed.shift += (entry as never as { value: number }).value;
      }).observe({ entryTypes: ["layout-shift" as never] });
      Object.assign(window, { observed });
    });
    const generated = page.locator("#model .generated");
    await page.getByRole("spinbutton", { name: "tokens" }).fill("10000");
    await page.getByRole("button", { name: "Generate" }).click();
    await until(async () => (await generated.count()) > 50, "50 tokens are generated");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText(/^stopped: /).waitFor();
    const count = await generated.count();
    assert.ok(count < 10_000, `${count}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.is(await generated.count(), count);
    const { shift } = await page.evaluate(
      () => (window as never as { observed: { shift: number } }).observed,
    );
    assert.is(shift, 0);
    assert.equal(errors, []);
  });

  test("generation: the same text as the library's, with the probability of each token", async () => {
    await openView("not to be");
    await setSlider("temperature", 0.5);
    await page.getByRole("spinbutton", { name: "tokens" }).fill("25");
    await page.getByLabel("seed").fill("4");
    await page.getByRole("button", { name: "Generate" }).click();
    await page.getByText(/^done: 25 tokens/).waitFor();
    const { model, tokenizer } = loadRun(run, device("ts"));
    const prompt = tokenizer.encode("not to be");
    const ids: number[] = [];
    const options = { prompt, maxNewTokens: 25, temperature: 0.5, seed: 4 };
    for await (const id of generate(model, options)) ids.push(id);
    assert.is(
      (await page.locator("#model .generated").allTextContents()).join(""),
      tokenizer.decode(ids),
    );
    const logits = await fetchFloats("/logits", { run: "gpt", text: "not to be", position: 8 });
    const weights = logits.map((x) => Math.exp(x));
    const share = weights[ids[0]] / weights.reduce((a, b) => a + b);
    const first = page.locator("#model .generated").first();
    const title = String(await first.getAttribute("title"));
    assert.match(title, new RegExp(`, id ${ids[0]}: 0?.`));
    assert.ok(Math.abs(Number(title.split(": ").at(-1)) - share) < 2e-3, `${title}, ${share}`);
    await page.getByLabel("move through its tokens").press("ArrowRight");
    assert.is(await page.locator("#model .generation .readout").textContent(), title);
    assert.equal(errors, []);
  });

  test("tables: the value of an element; a bigram model has a table and no attention", async () => {
    await openView("not to be", { colorScheme: "dark", viewport: { width: 390, height: 800 } });
    const readout = page.locator("#model .tables .readout");
    const { model } = loadRun(run, device("ts"));
    const { wte, wpe } = model as GPT;
    const canvas = page.locator("#model .tables canvas");
    await hover(canvas, [0, wte.weight.shape[0]], [5, 24]);
    const value = wte.weight.data()[5].toFixed(4);
    assert.is(await readout.textContent(), `“↵” (0), channel 5: ${value}`);
    await page.getByRole("combobox", { name: "table", exact: true }).selectOption("wpe");
    await page.getByRole("application", { name: "position embeddings" }).waitFor();
    await hover(canvas, [3, 32], [7, 24]);
    const expected = wpe?.weight.data()[3 * 24 + 7].toFixed(4);
    assert.is(await readout.textContent(), `position 3, channel 7: ${expected}`);
    await page.getByRole("combobox", { name: "run", exact: true }).selectOption("bigram");
    await page.getByText("A bigram model has no attention").waitFor();
    assert.not(await page.locator("#model .heads").isVisible());
    await page.getByRole("application", { name: "bigram logits" }).waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 390, `${width} pixels wide`);
    assert.equal(errors, []);
  });
});
