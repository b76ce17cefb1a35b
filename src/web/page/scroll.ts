// Scrolling to what is looked at, within its box.

import type { GraphNode } from "../protocol.ts";

interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What some nodes take up together. */
export function placeOf(nodes: readonly GraphNode[]): Area {
  const x = Math.min(...nodes.map((node) => node.x - node.width / 2));
  const y = Math.min(...nodes.map((node) => node.y - node.height / 2));
  const right = Math.max(...nodes.map((node) => node.x + node.width / 2));
  const bottom = Math.max(...nodes.map((node) => node.y + node.height / 2));
  return { x, y, width: right - x, height: bottom - y };
}

/** Scrolls a box, and nothing around it, as little as shows a place in it. */
export function reveal(box: HTMLElement, { x, y, width, height }: Area): void {
  const margin = 24;
  const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const shift = (start: number, size: number, from: number, room: number) => {
    if (start - margin < from || size + 2 * margin > room) return Math.max(0, start - margin);
    return Math.max(from, start + size + margin - room);
  };
  box.scrollTo({
    left: shift(x, width, box.scrollLeft, box.clientWidth),
    top: shift(y, height, box.scrollTop, box.clientHeight),
    behavior: isCalm ? "auto" : "smooth",
  });
}
