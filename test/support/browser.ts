// Test support for the dashboard: Chromium, and tinybard processes that serve a dashboard.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { suite, type Test } from "uvu";
import * as assert from "uvu/assert";

const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const linuxPaths = ["chromium", "chromium-browser", "google-chrome"].map(
  (name) => `/usr/bin/${name}`,
);
// Wine shows the programs of Linux, but they cannot be used from there.
const defaultPaths = process.platform === "win32" ? [] : linuxPaths;
const chromiumPath = [process.env.CHROMIUM_PATH ?? "", ...defaultPaths].find((path) =>
  existsSync(path),
);

/** An open page, with its console errors and uncaught exceptions. */
export interface Visit {
  page: Page;
  errors: string[];
}

export type Open = (url: string, options?: BrowserContextOptions) => Promise<Visit>;

/** Defines a test suite that runs in Chromium. It is skipped if Chromium is not installed. */
export function inBrowser(name: string, body: (test: Test, open: Open) => void): void {
  const test = suite(name);
  if (!chromiumPath) {
    console.log(
      `skipped: ${name}: Chromium is not installed (CHROMIUM_PATH overrides its location)`,
    );
    test.skip("needs Chromium");
    test.run();
    return;
  }
  let browser: Browser;
  test.before(async () => {
    const args = ["--no-sandbox", "--disable-gpu"];
    browser = await chromium.launch({ executablePath: chromiumPath, args });
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

/** Returns the cumulative layout shift since the page was opened (https://web.dev/cls). */
export function getLayoutShift(page: Page): Promise<number> {
  return page.evaluate(async () => {
    let sum = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        sum += (entry as PerformanceEntry & { value: number }).value;
    }).observe({ type: "layout-shift", buffered: true });
    await new Promise((resolve) => setTimeout(resolve, 100)); // until the observer is called
    return sum;
  });
}

/** A tinybard process that serves a dashboard. */
export interface DashboardProcess {
  url: string;
  process: ChildProcess;
  /** Returns everything that it has printed. */
  getOutput(): string;
  /** Kills the process, as in a crash, and waits until it has exited. */
  kill(): Promise<void>;
}

/** Runs `tinybard ARGS` and waits for the URL of the dashboard. */
export async function startDashboard(...args: string[]): Promise<DashboardProcess> {
  const child = spawn(process.execPath, [program, ...args]);
  let output = "";
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
        const [, found] = /^dashboard: (\S+)/m.exec(output) ?? [];
        if (found) resolve(found);
      });
    child.once("exit", (code) => reject(new Error(`exited with ${code}: ${output}`)));
  });
  return {
    url,
    process: child,
    getOutput: () => output,
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Waits until a condition is true. Fails with its description after a timeout. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  description: string,
  seconds = 20,
): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  while (!(await condition())) {
    if (performance.now() > end) assert.unreachable(`not true after ${seconds} s: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
