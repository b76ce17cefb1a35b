// Scrolls a box so that an area of its content is visible.

import type { GraphNode } from "../protocol.ts";

interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Returns the bounding box of some nodes. */
export function boundingBox(nodes: readonly GraphNode[]): Rectangle {
  const left = Math.min(...nodes.map((node) => node.x - node.width / 2));
  const top = Math.min(...nodes.map((node) => node.y - node.height / 2));
  const right = Math.max(...nodes.map((node) => node.x + node.width / 2));
  const bottom = Math.max(...nodes.map((node) => node.y + node.height / 2));
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/**
 * Scrolls a box by the smallest amount that makes an area of it visible. Unlike scrollIntoView(),
 * it does not scroll the page around the box.
 */
export function scrollToArea(box: HTMLElement, area: Rectangle): void {
  const margin = 24;
  const computeOffset = (start: number, size: number, offset: number, visible: number) => {
    if (start - margin < offset || size + 2 * margin > visible) return Math.max(0, start - margin);
    return Math.max(offset, start + size + margin - visible);
  };
  const hasReducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  box.scrollTo({
    left: computeOffset(area.x, area.width, box.scrollLeft, box.clientWidth),
    top: computeOffset(area.y, area.height, box.scrollTop, box.clientHeight),
    behavior: hasReducedMotion ? "auto" : "smooth",
  });
}
