// Where the live run stands, and what may be asked of it. What was asked counts as done when the
// process that trains says so.

import type { Control, Status } from "../protocol.ts";
import { fetchJson } from "./api.ts";
import { element } from "./element.ts";
import { duration, integer } from "./format.ts";

type Action = Control["action"];

const WINDOW = 60_000; // milliseconds, over which the time left is estimated

export class RunControl {
  readonly root: HTMLElement;
  readonly #name = element("h2");
  readonly #state = element("span", { class: "state" });
  readonly #step = element("output", { class: "step" });
  readonly #left = element("output", { class: "left soft" });
  readonly #progress = element("progress", { "aria-label": "steps trained", max: 1, value: 0 });
  readonly #message = element("p", { class: "message soft", role: "status" });
  readonly #buttons = { pause: button("Pause"), save: button("Save now"), stop: button("Stop") };
  readonly #asked = new Set<Action>();
  #status: Status | null = null;
  #isReachable = false;
  #marks: { time: number; step: number }[] = [];

  constructor() {
    const { pause, save, stop } = this.#buttons;
    pause.addEventListener("click", () =>
      this.#ask(this.#status?.state === "paused" ? "resume" : "pause"),
    );
    save.addEventListener("click", () => this.#ask("save"));
    stop.addEventListener("click", () => this.#ask("stop"));
    stop.title = "Saves and ends the run; tinybard train --resume goes on with it";
    this.root = element(
      "section",
      { class: "card control", "aria-label": "the run that is being trained", hidden: true },
      element("div", { class: "row what" }, this.#state, this.#name),
      element("div", { class: "row where" }, this.#step, this.#left),
      this.#message,
      element("div", { class: "row buttons" }, pause, save, stop),
      this.#progress,
    );
  }

  /** Nothing can be asked of a server that is not there. */
  reach(isReachable: boolean): void {
    this.#isReachable = isReachable;
    this.#asked.clear();
    this.#show();
  }

  /** The name of the run that is being trained: there is room for what it will tell. */
  setLive(run: string | undefined): void {
    this.root.hidden = run === undefined;
    this.#name.textContent = run ?? "";
    if (run === undefined) this.#status = null;
    this.#show();
  }

  hear(status: Status): void {
    const { state, step, saved } = status;
    const before = this.#status;
    this.#status = status;
    this.#mark(status);
    if (state === "paused") this.#confirm("pause", `paused at step ${integer(step)}`);
    if (state === "training") this.#confirm("resume", "goes on");
    // while the run is paused, nothing is told but what was asked for
    if (saved !== null && (saved !== before?.saved || (state === "paused" && saved === step)))
      this.#confirm("save", `saved at step ${integer(saved)}`);
    if (state === "stopped") this.#confirm("stop", `stopped at step ${integer(step)}, saved`);
    if (state === "stopped" || state === "ended") this.#asked.clear();
    this.#show();
  }

  async #ask(action: Action): Promise<void> {
    if (this.#asked.has(action)) return;
    this.#asked.add(action);
    this.#message.textContent = "";
    this.#show();
    try {
      await fetchJson("/control", { action } satisfies Control);
    } catch (error) {
      this.#asked.delete(action);
      this.#message.textContent = (error as Error).message;
      this.#show();
    }
  }

  #confirm(action: Action, words: string): void {
    if (this.#asked.delete(action)) this.#message.textContent = words;
  }

  #show(): void {
    const { pause, save, stop } = this.#buttons;
    if (!this.#status) return;
    this.root.hidden = false;
    const { run, state, step, maxIters } = this.#status;
    this.#name.textContent = run;
    this.#state.textContent = state;
    this.#state.dataset.state = state;
    this.#step.textContent = `step ${integer(step)} of ${integer(maxIters)}`;
    this.#progress.value = maxIters ? step / maxIters : 0;
    this.#left.textContent = this.#timeLeft();
    const isLive = this.#isReachable && (state === "training" || state === "paused");
    label(pause, state === "paused" ? "Resume" : "Pause", this.#has("pause", "resume"), isLive);
    label(save, "Save now", this.#has("save"), isLive);
    label(stop, "Stop", this.#has("stop"), isLive);
  }

  #has(...actions: Action[]): boolean {
    return actions.some((action) => this.#asked.has(action));
  }

  /** Remembers how fast the steps go; a pause begins anew. */
  #mark({ state, step }: Status): void {
    const time = performance.now();
    if (state !== "training" || step < (this.#marks.at(-1)?.step ?? 0)) this.#marks = [];
    else if (step !== this.#marks.at(-1)?.step) this.#marks.push({ time, step });
    while (this.#marks.length > 2 && this.#marks[0].time < time - WINDOW) this.#marks.shift();
  }

  #timeLeft(): string {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    const { state, step, maxIters } = this.#status as Status;
    if (state !== "training" || !first || !last || last.step === first.step) return "";
    const pace = (last.time - first.time) / (last.step - first.step) / 1000;
    return `${duration((maxIters - step) * pace)} left`;
  }
}

function button(name: string): HTMLButtonElement {
  return element("button", { type: "button", "data-name": name }, name);
}

function label(button: HTMLButtonElement, name: string, isAsked: boolean, isLive: boolean): void {
  button.textContent = isAsked ? "asked…" : name;
  button.ariaLabel = isAsked ? `${name}: asked` : name;
  // one that was just pressed stays focused, and does nothing until it is answered
  button.disabled = !isLive;
  button.ariaDisabled = String(isAsked);
}
