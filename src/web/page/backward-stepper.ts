// Steps through backward(): the graph, the list of steps, a note on the current step, and buttons
// and keys to move between steps.

import type { Graph } from "../protocol.ts";
import { createStepButtons } from "./controls.ts";
import { element } from "./element.ts";
import { createGraphView, type GraphView } from "./graph.ts";
import { boundingBox, scrollToArea } from "./scroll.ts";

const STEP_DURATION_MS = 900; // while all steps are run
const MARGIN = 48; // CSS pixels, around nodes that are scrolled to together

export class BackwardStepper {
  readonly note = element("pre", { class: "note", "aria-live": "polite" });
  readonly canvas = element("div", {
    class: "graph-box",
    tabindex: 0,
    role: "region",
    "aria-label": "graph; arrow keys step through backward()",
  });
  readonly list = element("ol", {
    class: "steps",
    tabindex: 0,
    role: "listbox",
    "aria-label": "steps of backward()",
  });
  readonly #buttons = createStepButtons({
    first: () => this.goTo(0),
    back: () => this.goTo(this.#step - 1),
    forward: () => this.goTo(this.#step + 1),
    run: () => (this.#timer ? this.pause() : this.#run()),
  });
  #graph: Graph | null = null;
  #view: GraphView | null = null;
  #step = 0;
  #timer = 0;

  constructor() {
    for (const target of [this.note, this.canvas, this.list, this.buttons])
      target.addEventListener("keydown", (event) => this.#onKey(event));
  }

  get buttons(): HTMLElement {
    return this.#buttons.root;
  }

  /** The number of steps that have been taken. */
  get step(): number {
    return this.#step;
  }

  /** Replaces the graph and shows it after `step` steps. */
  load(graph: Graph, step: number): void {
    this.#graph = graph;
    this.#view = createGraphView(graph, (node) => this.#goToNode(node));
    this.canvas.replaceChildren(this.#view.root);
    this.canvas.scrollTo(0, 0);
    this.list.replaceChildren(
      ...graph.steps.map(({ notes }, i) => {
        const onclick = () => this.goTo(i + 1);
        return element("li", { id: `step-${i + 1}`, role: "option", onclick }, notes.join("\n"));
      }),
    );
    this.goTo(step);
  }

  /** Stops running, and shows the graph after `step` steps. */
  goTo(step: number): void {
    this.pause();
    this.#show(step);
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#updateButtons();
  }

  /** Runs all remaining steps, or all steps if there are none. */
  #run(): void {
    if (this.#step === this.#lastStep) this.#show(0);
    this.#timer = window.setInterval(() => {
      if (this.#step + 1 >= this.#lastStep) this.pause();
      this.#show(this.#step + 1);
    }, STEP_DURATION_MS);
    this.#show(this.#step + 1);
  }

  get #lastStep(): number {
    return this.#graph?.steps.length ?? 0;
  }

  #updateButtons(): void {
    this.#buttons.update(this.#step, this.#lastStep, this.#timer !== 0);
  }

  #show(step: number): void {
    if (!this.#graph) return;
    this.#step = Math.min(Math.max(step, 0), this.#lastStep);
    this.#updateButtons();
    this.#view?.show(this.#step);
    const current = this.#graph.steps[this.#step - 1];
    this.note.textContent = current
      ? current.notes.join("\n")
      : "before backward(): no gradients yet";
    this.#selectItem(this.#step - 1);
    if (current) this.#scrollToStep(this.#graph, this.#step - 1);
  }

  /** Scrolls to the node of a step, and to its inputs if all of them fit. */
  #scrollToStep({ nodes, steps }: Graph, index: number): void {
    const step = steps[index];
    const node = nodes[step.node];
    const inputs = step.gradients.map((gradient) => nodes[gradient.node]);
    const area = boundingBox([node, ...inputs]);
    const { clientWidth, clientHeight } = this.canvas;
    const fits = area.width < clientWidth - MARGIN && area.height < clientHeight - MARGIN;
    scrollToArea(this.canvas, fits ? area : boundingBox([node]));
  }

  /** Selects an item of the list of steps and scrolls to it. -1 selects none. */
  #selectItem(index: number): void {
    for (const [i, item] of [...this.list.children].entries())
      item.ariaSelected = String(i === index);
    const item = this.list.children[index];
    if (!(item instanceof HTMLElement)) {
      this.list.removeAttribute("aria-activedescendant");
      this.list.scrollTop = 0;
      return;
    }
    this.list.setAttribute("aria-activedescendant", item.id);
    const y = item.offsetTop - this.list.offsetTop;
    scrollToArea(this.list, { x: 0, y, width: 1, height: item.offsetHeight });
  }

  /** Goes to the backward step of a node. A leaf has none. */
  #goToNode(node: number): void {
    const index = this.#graph?.steps.findLastIndex((step) => step.node === node) ?? -1;
    if (index >= 0) this.goTo(index + 1);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const targets: Record<string, number> = {
      Home: 0,
      End: this.#lastStep,
      ArrowRight: this.#step + 1,
      ArrowDown: this.#step + 1,
      ArrowLeft: this.#step - 1,
      ArrowUp: this.#step - 1,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.goTo(target);
  }
}
