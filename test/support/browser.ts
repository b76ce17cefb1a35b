// A real browser for the dashboard's tests, and the program that shows the dashboard.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { suite, type Test } from "uvu";
import * as assert from "uvu/assert";

const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const chromiumAt = [
  process.env.CHROMIUM_PATH ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => existsSync(path));

/** A page, and what went wrong in it: errors on its console, and those that nobody caught. */
export interface Visit {
  page: Page;
  errors: string[];
}

export type Open = (url: string, options?: BrowserContextOptions) => Promise<Visit>;

/** A suite of tests in Chromium; skipped, with the reason, where there is none. */
export function inBrowser(name: string, body: (test: Test, open: Open) => void): void {
  const test = suite(name);
  if (!chromiumAt) {
    console.log(`skipped: ${name}: no Chromium here; CHROMIUM_PATH can tell where it is`);
    test.skip("needs Chromium");
    test.run();
    return;
  }
  let browser: Browser;
  test.before(async () => {
    const args = ["--no-sandbox", "--disable-gpu"];
    browser = await chromium.launch({ executablePath: chromiumAt, args });
  });
  test.after.each(async () => {
    for (const context of browser.contexts()) await context.close();
  });
  test.after(() => browser.close());
  body(test, async (url, options) => {
    const page = await (await browser.newContext(options)).newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error.stack)));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    await page.goto(url);
    return { page, errors };
  });
  test.run();
}

/** How much of the page has moved by itself since it was opened (CLS, https://web.dev/cls). */
export function shiftIn(page: Page): Promise<number> {
  return page.evaluate(async () => {
    let sum = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        sum += (entry as PerformanceEntry & { value: number }).value;
    }).observe({ type: "layout-shift", buffered: true });
    await new Promise((resolve) => setTimeout(resolve, 100)); // it is told a moment later
    return sum;
  });
}

/** The program as a process that shows a dashboard. */
export interface Shown {
  url: string;
  process: ChildProcess;
  /** All it has said. */
  said(): string;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** Starts `tinybard WORDS` and waits for the dashboard's address. */
export async function start(...words: string[]): Promise<Shown> {
  const child = spawn(process.execPath, [program, ...words]);
  let text = "";
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
        const [, found] = /^dashboard: (\S+)/m.exec(text) ?? [];
        if (found) resolve(found);
      });
    child.once("exit", (code) => reject(new Error(`ended with ${code}: ${text}`)));
  });
  return {
    url,
    process: child,
    said: () => text,
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Waits until `holds` is true; fails with `what` after some seconds. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  seconds = 20,
): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  while (!(await holds())) {
    if (performance.now() > end) assert.unreachable(`${what}, after ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
