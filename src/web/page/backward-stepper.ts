// Goes through the steps of backward(): the picture of the graph, the steps in words, and the
// buttons and keys to step with.

import type { Graph } from "../protocol.ts";
import { stepButtons } from "./controls.ts";
import { element } from "./element.ts";
import { type Picture, picture } from "./graph.ts";
import { placeOf, reveal } from "./scroll.ts";

const TURN = 900; // milliseconds a step is shown while they run

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
  readonly #buttons = stepButtons({
    first: () => this.go(0),
    back: () => this.go(this.#at - 1),
    forward: () => this.go(this.#at + 1),
    run: () => (this.#timer ? this.halt() : this.#run()),
  });
  #graph: Graph | null = null;
  #picture: Picture | null = null;
  #at = 0;
  #timer = 0;

  constructor() {
    for (const each of [this.note, this.canvas, this.list, this.buttons])
      each.addEventListener("keydown", (event) => this.#key(event));
  }

  get buttons(): HTMLElement {
    return this.#buttons.root;
  }

  /** Shows another graph, after so many steps. */
  load(graph: Graph, steps: number): void {
    this.#graph = graph;
    this.#picture = picture(graph, (node) => this.#turnOf(node));
    this.canvas.replaceChildren(this.#picture.root);
    this.canvas.scrollTo(0, 0);
    this.list.replaceChildren(
      ...graph.steps.map(({ notes }, i) => {
        const onclick = () => this.go(i + 1);
        return element("li", { id: `step-${i + 1}`, role: "option", onclick }, notes.join("\n"));
      }),
    );
    this.go(steps);
  }

  /** How many steps have been taken. */
  get at(): number {
    return this.#at;
  }

  /** Shows the graph after so many steps; what runs halts. */
  go(to: number): void {
    this.halt();
    this.#show(to);
  }

  halt(): void {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#tell();
  }

  #run(): void {
    if (this.#at === this.#last) this.#show(0);
    this.#timer = window.setInterval(() => {
      if (this.#at + 1 >= this.#last) this.halt();
      this.#show(this.#at + 1);
    }, TURN);
    this.#show(this.#at + 1);
  }

  get #last(): number {
    return this.#graph?.steps.length ?? 0;
  }

  #tell(): void {
    this.#buttons.show(this.#at, this.#last, this.#timer !== 0);
  }

  #show(to: number): void {
    if (!this.#graph) return;
    this.#at = Math.min(Math.max(to, 0), this.#last);
    this.#tell();
    this.#picture?.show(this.#at);
    const { nodes, steps } = this.#graph;
    const step = steps[this.#at - 1];
    this.note.textContent = step ? step.notes.join("\n") : "before backward(): values only";
    this.#choose(this.#at - 1);
    if (!step) return;
    const turn = placeOf([nodes[step.node]]);
    const all = placeOf([step, ...step.gradients].map(({ node }) => nodes[node]));
    const { clientWidth, clientHeight } = this.canvas;
    const isSmall = all.width < clientWidth - 48 && all.height < clientHeight - 48;
    reveal(this.canvas, isSmall ? all : turn);
  }

  /** Marks a step of the list. */
  #choose(step: number): void {
    for (const [i, each] of [...this.list.children].entries())
      each.ariaSelected = String(i === step);
    const item = this.list.children[step];
    if (!(item instanceof HTMLElement)) {
      this.list.removeAttribute("aria-activedescendant");
      this.list.scrollTop = 0;
      return;
    }
    this.list.setAttribute("aria-activedescendant", item.id);
    const { offsetTop, offsetHeight: height } = item;
    reveal(this.list, { x: 0, y: offsetTop - this.list.offsetTop, width: 1, height });
  }

  /** Goes to the step in which a node has its turn; a leaf has none. */
  #turnOf(node: number): void {
    const step = this.#graph?.steps.findLastIndex((each) => each.node === node) ?? -1;
    if (step >= 0) this.go(step + 1);
  }

  #key(event: KeyboardEvent): void {
    const { key, ctrlKey, altKey, metaKey } = event;
    if (ctrlKey || altKey || metaKey) return;
    const [forward, back] = [this.#at + 1, this.#at - 1];
    const to = new Map([
      ["Home", 0],
      ["End", this.#last],
      ["ArrowRight", forward],
      ["ArrowDown", forward],
      ["ArrowLeft", back],
      ["ArrowUp", back],
    ]).get(key);
    if (to === undefined) return;
    event.preventDefault();
    this.go(to);
  }
}
