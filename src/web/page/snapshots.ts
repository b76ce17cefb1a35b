// What a run was up to at each evaluation: a sample of what it writes, and how its numbers spread.

import type { Snapshot } from "../protocol.ts";
import { element } from "./element.ts";
import { integer } from "./format.ts";
import { oncePerFrame } from "./frame.ts";
import { histograms } from "./histograms.ts";

const NEWEST = "newest";

export class Snapshots {
  readonly root: HTMLElement;
  readonly #runs = new Map<string, Map<number, Snapshot>>();
  readonly #run = element("select", { "aria-label": "run" });
  readonly #step = element("select", { "aria-label": "step" });
  readonly #sample = element("pre", { class: "sample-text", tabindex: 0, "aria-label": "sample" });
  readonly #histograms = element("div", { class: "histograms" });
  readonly #nothing = element(
    "p",
    { class: "soft" },
    "A sample and histograms come with each checkpoint of a run that is chosen.",
  );
  readonly #details: HTMLDetailsElement;
  #shown: Snapshot | null = null;
  #chosen: readonly string[] = [];
  readonly #show = oncePerFrame(() => this.#draw());

  constructor() {
    for (const select of [this.#run, this.#step])
      select.addEventListener("change", () => this.#show());
    this.#details = element(
      "details",
      { open: true },
      element("summary", {}, "Weights (left) and gradients (right) of each parameter"),
      this.#histograms,
    );
    const head = element("div", { class: "row head" }, element("h3", {}, "At an evaluation"));
    head.append(this.#run, this.#step);
    this.root = element("section", { class: "card glimpses", "aria-label": "evaluations" });
    this.root.append(head, this.#nothing, this.#sample, this.#details);
    this.#show();
  }

  /** Keeps what is told. A run that goes on from before has not been where it was later. */
  add({ run, ...glimpse }: Snapshot & { run: string }): void {
    const steps = this.#runs.get(run) ?? new Map<number, Snapshot>();
    for (const step of steps.keys()) if (step > glimpse.step) steps.delete(step);
    this.#runs.set(run, steps.set(glimpse.step, glimpse));
    this.#show();
  }

  /** The runs that may be chosen from. */
  choose(runs: readonly string[]): void {
    this.#chosen = runs;
    this.#show();
  }

  #draw(): void {
    this.#showRuns();
    this.#showGlimpse();
  }

  #showRuns(): void {
    const { value } = this.#run;
    const names = this.#chosen.filter((run) => this.#runs.has(run));
    this.#run.replaceChildren(...names.map((run) => element("option", { value: run }, run)));
    this.#run.value = names.includes(value) ? value : (names[0] ?? "");
    this.#run.hidden = names.length < 2;
  }

  #showGlimpse(): void {
    const steps = this.#runs.get(this.#run.value) ?? new Map<number, Snapshot>();
    const numbers = [...steps.keys()].sort((a, b) => b - a);
    const { value } = this.#step;
    const options = numbers.map((each) => element("option", { value: each }, named(each)));
    if (numbers.length)
      options.unshift(element("option", { value: NEWEST }, `newest: ${named(numbers[0])}`));
    this.#step.replaceChildren(...options);
    this.#step.value = numbers.map(String).includes(value) ? value : NEWEST;
    const step = this.#step.value === NEWEST ? numbers[0] : Number(this.#step.value);
    const glimpse = steps.get(step) ?? null;
    const isNone = glimpse === null;
    this.#nothing.hidden = !isNone;
    this.#step.hidden = this.#sample.hidden = this.#details.hidden = isNone;
    if (!glimpse || glimpse === this.#shown) return;
    this.#shown = glimpse;
    this.#sample.textContent = glimpse.sample;
    this.#histograms.replaceChildren(...histograms(glimpse.histograms));
  }
}

function named(step: number): string {
  return `step ${integer(step)}`;
}
