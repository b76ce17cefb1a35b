// The view of autograd: a few lines of code, their graph, and backward() through it, one node at a
// time.

import type { Graph, GraphRequest } from "../protocol.ts";
import { fetchJson } from "./api.ts";
import { BackwardStepper } from "./backward-stepper.ts";
import { choice } from "./controls.ts";
import { codeEditor } from "./editor.ts";
import { element } from "./element.ts";
import { examples } from "./examples.ts";

const PATIENCE = 300; // milliseconds between the last letter typed and the graph

export function autogradView(root: HTMLElement): void {
  let asked = new AbortController();
  let typing = 0;

  const player = new BackwardStepper();
  const editor = codeEditor("code", () => {
    clearTimeout(typing);
    typing = window.setTimeout(() => draw(), PATIENCE);
    example.value = "";
  });
  const example = element(
    "select",
    { onchange: () => open(example.value) },
    element("option", { value: "", hidden: true }, "own code"),
    ...Object.keys(examples).map((name) => element("option", {}, name)),
  );
  const dtype = choice("numbers", { f64: "f64", f32: "f32" }, "f64", redraw);
  const isNarrow = window.matchMedia("(width <= 640px)").matches;
  const flow = choice("direction", { LR: "across", TB: "down" }, isNarrow ? "TB" : "LR", redraw);

  /** Asks for the graph of what stands in the editor, and shows it after so many steps. */
  async function draw(at = 0): Promise<void> {
    clearTimeout(typing);
    player.halt();
    asked.abort();
    asked = new AbortController();
    const question = { code: editor.code, dtype: dtype.value, direction: flow.value };
    try {
      player.load(await fetchJson<Graph>("/graph", question as GraphRequest, asked.signal), at);
      editor.problem("");
      player.canvas.classList.remove("stale");
    } catch (error) {
      if ((error as Error).name === "AbortError") return;
      editor.problem((error as Error).message);
      player.canvas.classList.add("stale");
    }
  }

  /** The same code in another way: the step stays. */
  function redraw(): void {
    draw(player.at);
  }

  function open(name: string): void {
    example.value = name;
    editor.code = examples[name];
    draw();
  }

  const code = element(
    "section",
    { class: "card code" },
    element("h2", {}, "Expression"),
    element("div", { class: "row" }, element("label", {}, "example", example), dtype.root),
    editor.root,
    languageHelp(),
  );
  const steps = element(
    "section",
    { class: "card list" },
    element("h2", {}, "Steps of backward()"),
    player.list,
  );
  const graph = element(
    "section",
    { class: "card picture" },
    element("div", { class: "row" }, player.buttons, flow.root),
    player.note,
    player.canvas,
  );
  root.append(element("div", { class: "autograd" }, code, steps, graph));
  open(Object.keys(examples)[0]);
}

function languageHelp(): HTMLElement {
  const text =
    "A line is name = expression; the last line must come to one number. Numbers and arrays on a " +
    "line of their own, such as x = [[1, 2], [3, 4]], get gradients. Operators: + − * / ** and " +
    "@, the product of matrices. Functions: abs, cos, exp, gelu, log, relu, sigmoid, silu, sin, " +
    "sqrt, tanh, transpose; sum, mean, max, var with dim = 0 and keepdim = 1 if wanted; softmax " +
    "and logSoftmax with dim. # begins a comment.";
  const summary = element("summary", {}, "What can be written");
  return element("details", {}, summary, element("p", { class: "soft small" }, text));
}
