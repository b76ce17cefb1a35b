// The device that computes, notices, and announcements for users of a screen reader.

import type { DeviceReport } from "../protocol.ts";

/** Returns an element of index.html. */
export function find(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement;
}

/** Says something to users of a screen reader. */
export function announce(message: string): void {
  find("status").textContent = message;
}

/** Shows a message above the run, or hides it. */
export function showNotice(message: string): void {
  const notice = find("notice");
  notice.textContent = message;
  notice.hidden = message === "";
}

/** Shows an error of training, and what helps if a page has used up its memory, at most 4 GB. */
export function showFailure(message: string): void {
  const isMemoryFull = message.startsWith("out of memory");
  const advice = isMemoryFull ? ". Start over with a smaller batch, context or width." : "";
  showNotice(message + advice);
}

export function showDevice({ device, threads, reason }: DeviceReport): void {
  const names: Record<string, string> = { wasm: "WebAssembly", ts: "JavaScript" };
  const count = threads > 1 ? `, ${threads} threads` : "";
  find("device").textContent = `${names[device] ?? device}${count}`;
  find("device").title = reason;
}
