// The worker that runs a lesson. Its code, which the user may have edited, is a module that imports
// the library and the other lessons from the site. It has no access to the page.

import type { LessonMessage, LessonRequest } from "../protocol.ts";
import { prepareDevice } from "./device.ts";
import { restoreFiles } from "./lesson-files.ts";

const scope = self as unknown as {
  postMessage(message: LessonMessage): void;
  onmessage: (event: MessageEvent<LessonRequest>) => void;
};

console.log = (...values: unknown[]) => {
  scope.postMessage({ kind: "output", text: `${values.map(toText).join(" ")}\n` });
};

scope.onmessage = async ({ data: { code, files } }) => {
  const start = performance.now();
  try {
    await prepareDevice();
    restoreFiles(files);
    const url = URL.createObjectURL(new Blob([link(code)], { type: "text/javascript" }));
    const module: { lesson?: () => Promise<unknown> } = await import(url);
    if (typeof module.lesson !== "function")
      throw new Error("the code does not export a function lesson()");
    await module.lesson();
    scope.postMessage({ kind: "done", seconds: (performance.now() - start) / 1000 });
  } catch (error) {
    scope.postMessage({ kind: "error", text: describe(error) });
  }
};

/** Replaces the names of imported modules by their addresses. */
function link(code: string): string {
  const toAddress = (name: string) => new URL(`lessons/${name}.js`, import.meta.url).href;
  return code.replace(
    /(\bfrom\s+|\bimport\s*\(\s*)(["'])(tinybard|\.\/[\w-]+(?=\.js\2))(?:\.js)?\2/g,
    (_, before: string, quote: string, name: string) =>
      `${before}${quote}${toAddress(name.replace("./", ""))}${quote}`,
  );
}

function toText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return String(value);
  const custom = (value as Record<symbol, unknown>)[Symbol.for("nodejs.util.inspect.custom")];
  if (typeof custom === "function") return String(custom.call(value, 2, {}, toText));
  return JSON.stringify(value) ?? String(value);
}

/** Returns an error's message, with the line of the lesson's code if it is known. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [, line] = /blob:[^\s)]*?:(\d+):\d+/.exec(error.stack ?? "") ?? [];
  return `${error.name}: ${error.message}${line ? ` (line ${line})` : ""}`;
}
