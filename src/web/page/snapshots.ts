// The snapshots of the selected runs: a text sample and histograms of the parameters from each
// checkpoint.

import type { Snapshot } from "../protocol.ts";
import { element } from "./element.ts";
import { formatInteger } from "./format.ts";
import { oncePerFrame } from "./frame.ts";
import { createHistograms } from "./histograms.ts";

const NEWEST = "newest";
/** The maximum number of snapshots of a run. */
const MAX_SNAPSHOTS = 64;

export class Snapshots {
  readonly root: HTMLElement;
  /** By run and step. */
  readonly #snapshots = new Map<string, Map<number, Snapshot>>();
  readonly #runSelect = element("select", { "aria-label": "run" });
  readonly #stepSelect = element("select", { "aria-label": "step" });
  readonly #sample = element("pre", { class: "sample-text", tabindex: 0, "aria-label": "sample" });
  readonly #histograms = element("div", { class: "histograms" });
  readonly #placeholder = element(
    "p",
    { class: "soft" },
    "A text sample and histograms appear here with each checkpoint of a selected run.",
  );
  readonly #details: HTMLDetailsElement;
  #shown: Snapshot | null = null;
  #selectedRuns: readonly string[] = [];
  readonly #redraw = oncePerFrame(() => this.#draw());

  constructor() {
    this.#runSelect.addEventListener("change", () => this.#redraw());
    this.#stepSelect.addEventListener("change", () => this.#redraw());
    this.#details = element(
      "details",
      { open: true },
      element("summary", {}, "Weights (left) and gradients (right) of each parameter"),
      this.#histograms,
    );
    const head = element(
      "div",
      { class: "row head" },
      element("h3", {}, "Snapshot"),
      this.#runSelect,
      this.#stepSelect,
    );
    this.root = element(
      "section",
      { class: "card snapshots", "aria-label": "snapshots" },
      head,
      this.#placeholder,
      this.#sample,
      this.#details,
    );
    this.#redraw();
  }

  /** Adds a snapshot. Later ones are discarded: the run was resumed from an earlier step. */
  add({ run, ...snapshot }: Snapshot & { run: string }): void {
    const byStep = this.#snapshots.get(run) ?? new Map<number, Snapshot>();
    for (const step of byStep.keys()) {
      if (step > snapshot.step) byStep.delete(step);
    }
    byStep.set(snapshot.step, snapshot);
    if (byStep.size > MAX_SNAPSHOTS) dropEverySecond(byStep);
    this.#snapshots.set(run, byStep);
    this.#redraw();
  }

  /** Sets the runs that can be chosen. Drops the snapshots of all others. */
  setRuns(runs: readonly string[]): void {
    for (const run of [...this.#snapshots.keys()].filter((name) => !runs.includes(name)))
      this.#snapshots.delete(run);
    this.#selectedRuns = runs;
    this.#redraw();
  }

  #draw(): void {
    this.#updateRunSelect();
    const byStep = this.#snapshots.get(this.#runSelect.value) ?? new Map<number, Snapshot>();
    const steps = [...byStep.keys()].sort((a, b) => b - a);
    this.#updateStepSelect(steps);
    const { value } = this.#stepSelect;
    const step = value === NEWEST ? steps[0] : Number(value);
    this.#show(byStep.get(step) ?? null);
  }

  #updateRunSelect(): void {
    const { value } = this.#runSelect;
    const runs = this.#selectedRuns.filter((run) => this.#snapshots.has(run));
    this.#runSelect.replaceChildren(...runs.map((run) => element("option", { value: run }, run)));
    this.#runSelect.value = runs.includes(value) ? value : (runs[0] ?? "");
    this.#runSelect.hidden = runs.length < 2;
  }

  /** Lists the steps, newest first. The selected step stays selected. */
  #updateStepSelect(steps: number[]): void {
    const { value } = this.#stepSelect;
    const options = steps.map((step) => element("option", { value: step }, describeStep(step)));
    if (steps.length > 0)
      options.unshift(element("option", { value: NEWEST }, `newest: ${describeStep(steps[0])}`));
    this.#stepSelect.replaceChildren(...options);
    this.#stepSelect.value = steps.map(String).includes(value) ? value : NEWEST;
  }

  #show(snapshot: Snapshot | null): void {
    const isEmpty = snapshot === null;
    this.#placeholder.hidden = !isEmpty;
    this.#stepSelect.hidden = isEmpty;
    this.#sample.hidden = isEmpty;
    this.#details.hidden = isEmpty;
    if (!snapshot || snapshot === this.#shown) return;
    this.#shown = snapshot;
    this.#sample.textContent = snapshot.sample;
    this.#histograms.replaceChildren(...createHistograms(snapshot.histograms));
  }
}

/** Drops every second snapshot, but not the first and the last. */
function dropEverySecond(byStep: Map<number, Snapshot>): void {
  const steps = [...byStep.keys()];
  for (let i = 1; i < steps.length - 1; i += 2) byStep.delete(steps[i]);
}

function describeStep(step: number): string {
  return `step ${formatInteger(step)}`;
}
