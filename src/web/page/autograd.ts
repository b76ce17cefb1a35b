// The Autograd view: an editor for a small expression, its computation graph, and the steps of
// backward(), one node at a time.

import type { Graph, GraphRequest } from "../protocol.ts";
import { BackwardStepper } from "./backward-stepper.ts";
import { createSegments } from "./controls.ts";
import { createEditor } from "./editor.ts";
import { element } from "./element.ts";
import { examples } from "./examples.ts";

const TYPING_DELAY_MS = 300; // the pause in typing after which the graph is updated

/** Returns the graph of an expression. Throws an Error with the position of a mistake. */
export type GetGraph = (request: GraphRequest, signal: AbortSignal) => Promise<Graph>;

export function createAutogradView(root: HTMLElement, getGraph: GetGraph): void {
  let pending = new AbortController();
  let timer = 0;

  const stepper = new BackwardStepper();
  const editor = createEditor("code", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => loadGraph(), TYPING_DELAY_MS);
    exampleSelect.value = "";
  });
  const exampleSelect = element(
    "select",
    { onchange: () => openExample(exampleSelect.value) },
    element("option", { value: "", hidden: true }, "custom code"),
    ...Object.keys(examples).map((name) => element("option", {}, name)),
  );
  let dtype: GraphRequest["dtype"] = "f64";
  const dtypeControl = createSegments("dtype", { f64: "f64", f32: "f32" }, dtype, (value) => {
    dtype = value;
    reloadGraph();
  });
  const isNarrow = window.matchMedia("(width <= 640px)").matches;
  let direction: "LR" | "TB" = isNarrow ? "TB" : "LR";
  const directionLabels = { LR: "across", TB: "down" };
  const directionControl = createSegments("direction", directionLabels, direction, (value) => {
    direction = value;
    reloadGraph();
  });

  /** Shows a step of the graph of the code in the editor. */
  async function loadGraph(step = 0): Promise<void> {
    clearTimeout(timer);
    stepper.pause();
    pending.abort();
    pending = new AbortController();
    const request: GraphRequest = { code: editor.code, dtype, direction };
    try {
      const graph = await getGraph(request, pending.signal);
      stepper.load(graph, step);
      editor.setError("");
      stepper.canvas.classList.remove("stale");
    } catch (error) {
      const { name, message } = error as Error;
      if (name === "AbortError") return; // a newer request has replaced this one
      editor.setError(message);
      stepper.canvas.classList.add("stale");
    }
  }

  /** Shows the graph of the same code with other settings. The current step is kept. */
  function reloadGraph(): void {
    loadGraph(stepper.step);
  }

  function openExample(name: string): void {
    exampleSelect.value = name;
    editor.code = examples[name];
    loadGraph();
  }

  const codeCard = element(
    "section",
    { class: "card code" },
    element("h2", {}, "Expression"),
    element("div", { class: "row" }, element("label", {}, "example", exampleSelect), dtypeControl),
    editor.root,
    createSyntaxHelp(),
  );
  const stepsCard = element(
    "section",
    { class: "card list" },
    element("h2", {}, "Steps of backward()"),
    stepper.list,
  );
  const graphCard = element(
    "section",
    { class: "card picture" },
    element("div", { class: "row" }, stepper.buttons, directionControl),
    stepper.note,
    stepper.canvas,
  );
  root.append(element("div", { class: "autograd" }, codeCard, stepsCard, graphCard));
  openExample(Object.keys(examples)[0]);
}

function createSyntaxHelp(): HTMLElement {
  const text =
    "Each line is name = expression. The last line must be a scalar. A line that assigns only " +
    "numbers or arrays, such as x = [[1, 2], [3, 4]], creates a leaf with a gradient. " +
    "Operators: + − * / ** and @ (matmul). Functions: abs, cos, exp, gelu, log, relu, relu2, " +
    "sigmoid, silu, sin, sqrt, tanh, transpose; sum, mean, max, var with optional dim = 0 and " +
    "keepdim = 1; softmax and logSoftmax with dim. # starts a comment.";
  const summary = element("summary", {}, "Syntax");
  return element("details", {}, summary, element("p", { class: "soft small" }, text));
}
