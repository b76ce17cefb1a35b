// The view of autograd: a few lines of code, their graph, and backward() through it, one node at a
// time.

import type { Graph, GraphQuestion } from "../protocol.ts";
import { codeEditor } from "./editor.ts";
import { element } from "./element.ts";
import { examples } from "./examples.ts";
import { type Picture, picture } from "./graph.ts";
import { placeOf, reveal } from "./reveal.ts";
import { ask } from "./server.ts";
import { choice, stepButtons } from "./steps.ts";

const PATIENCE = 300; // milliseconds between the last letter typed and the graph
const TURN = 900; // milliseconds a step is shown while they run

export function autogradView(root: HTMLElement): void {
  let graph: Graph | null = null;
  let drawn: Picture | null = null;
  let at = 0;
  let asked = new AbortController();
  let typing = 0;
  let running = 0;

  const editor = codeEditor("code", () => {
    clearTimeout(typing);
    typing = window.setTimeout(draw, PATIENCE);
  });
  const example = element(
    "select",
    { onchange: () => open(example.value) },
    ...Object.keys(examples).map((name) => element("option", {}, name)),
  );
  const dtype = choice("numbers", { f64: "f64", f32: "f32" }, "f64", draw);
  const isNarrow = window.matchMedia("(width <= 640px)").matches;
  const flow = choice("direction", { LR: "across", TB: "down" }, isNarrow ? "TB" : "LR", draw);
  const buttons = stepButtons({
    first: () => go(0),
    back: () => go(at - 1),
    forward: () => go(at + 1),
    run: () => (running ? halt() : run()),
  });
  const note = element("pre", { class: "note", "aria-live": "polite" });
  const canvas = element("div", { class: "graph-box", tabindex: 0, role: "region" });
  canvas.setAttribute("aria-label", "graph; arrow keys step through backward()");
  const list = element("ol", { class: "steps", tabindex: 0, role: "listbox" });
  list.setAttribute("aria-label", "steps of backward()");

  /** Asks for the graph of what stands in the editor. */
  async function draw(): Promise<void> {
    halt();
    asked.abort();
    asked = new AbortController();
    const question = { code: editor.code, dtype: dtype.value, direction: flow.value };
    try {
      graph = await ask<Graph>("/graph", question as GraphQuestion, asked.signal);
    } catch (error) {
      if ((error as Error).name === "AbortError") return;
      editor.problem((error as Error).message);
      canvas.classList.add("stale");
      return;
    }
    editor.problem("");
    canvas.classList.remove("stale");
    drawn = picture(graph);
    canvas.replaceChildren(drawn.root);
    canvas.scrollTo(0, 0);
    list.replaceChildren(
      ...graph.steps.map(({ notes }, i) =>
        element(
          "li",
          { id: `step-${i + 1}`, role: "option", onclick: () => go(i + 1) },
          notes.join("\n"),
        ),
      ),
    );
    go(0);
  }

  function open(name: string): void {
    editor.code = examples[name];
    draw();
  }

  /** Shows the graph after so many steps. */
  function go(to: number): void {
    if (!graph || !drawn) return;
    const last = graph.steps.length;
    at = Math.min(Math.max(to, 0), last);
    drawn.show(at);
    const step = graph.steps[at - 1];
    note.textContent = step ? step.notes.join("\n") : "before backward(): values only";
    buttons.show(at, last, running !== 0);
    for (const [i, each] of [...list.children].entries()) each.ariaSelected = String(i === at - 1);
    if (step) list.setAttribute("aria-activedescendant", `step-${at}`);
    else list.removeAttribute("aria-activedescendant");
    const item = list.children[at - 1];
    if (item instanceof HTMLElement) {
      const { offsetTop: y, offsetHeight: height } = item;
      reveal(list, { x: 0, y: y - list.offsetTop, width: 1, height });
    } else list.scrollTop = 0;
    if (!step) return;
    const { nodes } = graph;
    const turn = placeOf([nodes[step.node]]);
    const all = placeOf([step, ...step.gradients].map(({ node }) => nodes[node]));
    const isSmall = all.width < canvas.clientWidth - 48 && all.height < canvas.clientHeight - 48;
    reveal(canvas, isSmall ? all : turn);
  }

  function run(): void {
    if (graph && at === graph.steps.length) go(0);
    running = window.setInterval(() => {
      if (at + 1 >= (graph?.steps.length ?? 0)) halt();
      go(at + 1);
    }, TURN);
    go(at + 1);
  }

  function halt(): void {
    clearInterval(running);
    running = 0;
    if (graph) buttons.show(at, graph.steps.length, false);
  }

  function keys(event: KeyboardEvent): void {
    const { key, ctrlKey, altKey, metaKey } = event;
    if (ctrlKey || altKey || metaKey || event.target instanceof HTMLInputElement) return;
    const last = graph?.steps.length ?? 0;
    const targets: Record<string, number> = { Home: 0, End: last };
    for (const each of ["ArrowRight", "ArrowDown"]) targets[each] = at + 1;
    for (const each of ["ArrowLeft", "ArrowUp"]) targets[each] = at - 1;
    if (!(key in targets)) return;
    event.preventDefault();
    halt();
    go(targets[key]);
  }

  const head = element("div", { class: "row" }, buttons.root, flow.root);
  const choices = element("label", {}, "example", example);
  root.append(
    element(
      "div",
      { class: "autograd" },
      element(
        "section",
        { class: "card code" },
        element("h2", {}, "Expression"),
        element("div", { class: "row" }, choices, dtype.root),
        editor.root,
        languageHelp(),
      ),
      element(
        "section",
        { class: "card list", onkeydown: (event) => keys(event as KeyboardEvent) },
        element("h2", {}, "Steps of backward()"),
        list,
      ),
      element(
        "section",
        { class: "card picture", onkeydown: (event) => keys(event as KeyboardEvent) },
        head,
        note,
        canvas,
      ),
    ),
  );
  open(Object.keys(examples)[0]);
}

function languageHelp(): HTMLElement {
  return element(
    "details",
    {},
    element("summary", {}, "What can be written"),
    element(
      "p",
      { class: "soft small" },
      "A line is name = expression; the last line must come to one number. Numbers and arrays on " +
        "a line of their own, such as x = [[1, 2], [3, 4]], get gradients. Operators: + − * / ** " +
        "and @, the product of matrices. Functions: abs, cos, exp, gelu, log, relu, sigmoid, " +
        "silu, sin, sqrt, tanh, transpose; sum, mean, max, var with dim = 0 and keepdim = 1 if " +
        "wanted; softmax and logSoftmax with dim. # begins a comment.",
    ),
  );
}
