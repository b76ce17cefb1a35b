// The Autograd view of the dashboard. Its graphs are computed here instead of by a server.

import { buildGraph } from "../../web/graph.ts";
import { createAutogradView } from "../../web/page/autograd.ts";

export function createAutograd(root: HTMLElement): void {
  createAutogradView(root, async ({ code, ...options }) => buildGraph(code, options));
}
