// The state of the live run, and buttons to pause, save and stop it. An action counts as done when
// the training process confirms it with a status event.

import type { Control, DataInfo, RunInfo, Status } from "../protocol.ts";
import { fetchJson } from "./api.ts";
import { element } from "./element.ts";
import { formatDuration, formatInteger } from "./format.ts";

type Action = Control["action"];

const WINDOW_MS = 60_000; // the recent time over which the training speed is measured

export class RunControl {
  readonly root: HTMLElement;
  readonly #name = element("h2");
  readonly #state = element("span", { class: "state" });
  readonly #step = element("output", { class: "step" });
  readonly #timeLeft = element("output", { class: "left soft" });
  readonly #progress = element("progress", { "aria-label": "training progress", max: 1, value: 0 });
  readonly #data = element("p", { class: "soft small data" });
  readonly #message = element("p", { class: "message soft", role: "status" });
  readonly #pause = createButton("Pause");
  readonly #save = createButton("Save now");
  readonly #stop = createButton("Stop");
  /** The actions that have been sent but not confirmed. */
  readonly #pending = new Set<Action>();
  #status: Status | null = null;
  #info: DataInfo | null = null;
  #isConnected = false;
  /** The times of recent steps, from which the remaining time is estimated. */
  #history: { time: number; step: number }[] = [];

  constructor() {
    this.#pause.addEventListener("click", () =>
      this.#send(this.#status?.state === "paused" ? "resume" : "pause"),
    );
    this.#save.addEventListener("click", () => this.#send("save"));
    this.#stop.addEventListener("click", () => this.#send("stop"));
    this.#stop.title =
      "Saves a checkpoint and ends the run. Continue it with: tinybard train --resume";
    const buttons = [this.#pause, this.#save, this.#stop];
    this.root = element(
      "section",
      { class: "card control", "aria-label": "live run", hidden: true },
      element("div", { class: "row run-name" }, this.#state, this.#name),
      element("div", { class: "row progress-text" }, this.#step, this.#timeLeft),
      this.#data,
      this.#message,
      element("div", { class: "row buttons" }, ...buttons),
      this.#progress,
    );
  }

  /** Disables the buttons while the server cannot be reached. */
  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected;
    this.#pending.clear();
    this.#update();
  }

  /** Shows the name of the live run before its first status event. Hides the card without one. */
  setLiveRun(run: RunInfo | undefined): void {
    this.root.hidden = run === undefined;
    this.#name.textContent = run?.name ?? "";
    this.#info = run?.data ?? null;
    this.#data.title = this.#info?.shards.join("\n") ?? "";
    if (run === undefined) this.#status = null;
    this.#update();
  }

  /** Shows a new status, and confirms the pending actions that it completes. */
  setStatus(status: Status): void {
    const { state, step, saved } = status;
    const previous = this.#status;
    this.#status = status;
    this.#recordStep(status);
    if (state === "paused") this.#confirm("pause", `paused at step ${formatInteger(step)}`);
    if (state === "training") this.#confirm("resume", "resumed");
    // A repeated save at the same step does not change `saved`. But while the run is paused, the
    // server sends a status only in response to an action.
    const hasSaved = saved !== previous?.saved || (state === "paused" && saved === step);
    if (saved !== null && hasSaved)
      this.#confirm("save", `checkpoint saved at step ${formatInteger(saved)}`);
    if (state === "stopped")
      this.#confirm("stop", `stopped at step ${formatInteger(step)}, checkpoint saved`);
    if (state === "stopped" || state === "ended") this.#pending.clear();
    this.#update();
  }

  async #send(action: Action): Promise<void> {
    if (this.#pending.has(action)) return;
    this.#pending.add(action);
    this.#message.textContent = "";
    this.#update();
    try {
      await fetchJson("/control", { action } satisfies Control);
    } catch (error) {
      this.#pending.delete(action);
      this.#message.textContent = (error as Error).message;
      this.#update();
    }
  }

  #confirm(action: Action, message: string): void {
    if (this.#pending.delete(action)) this.#message.textContent = message;
  }

  #update(): void {
    if (!this.#status) return;
    this.root.hidden = false;
    const { run, state, step, maxIters } = this.#status;
    this.#name.textContent = run;
    this.#state.textContent = state;
    this.#state.dataset.state = state;
    const total = maxIters ? ` of ${formatInteger(maxIters)}` : ""; // 0: not known yet
    this.#step.textContent = `step ${formatInteger(step)}${total}`;
    this.#progress.value = maxIters ? step / maxIters : 0;
    this.#timeLeft.textContent = this.#estimateTimeLeft();
    this.#data.textContent = this.#info ? describeData(this.#info, step) : "";
    const isEnabled = this.#isConnected && (state === "training" || state === "paused");
    const isPausePending = this.#pending.has("pause") || this.#pending.has("resume");
    const pauseName = state === "paused" ? "Resume" : "Pause";
    updateButton(this.#pause, pauseName, isPausePending, isEnabled);
    updateButton(this.#save, "Save now", this.#pending.has("save"), isEnabled);
    updateButton(this.#stop, "Stop", this.#pending.has("stop"), isEnabled);
  }

  /** Records the time of a step. A pause, or a step that goes back, starts a new history. */
  #recordStep({ state, step }: Status): void {
    const time = performance.now();
    const lastStep = this.#history.at(-1)?.step;
    if (state !== "training" || step < (lastStep ?? 0)) this.#history = [];
    else if (step !== lastStep) this.#history.push({ time, step });
    while (this.#history.length > 2 && this.#history[0].time < time - WINDOW_MS)
      this.#history.shift();
  }

  #estimateTimeLeft(): string {
    const first = this.#history[0];
    const last = this.#history.at(-1);
    const { state, step, maxIters } = this.#status as Status;
    if (state !== "training" || !maxIters) return "";
    if (!first || !last || last.step === first.step) return "";
    const secondsPerStep = (last.time - first.time) / (last.step - first.step) / 1000;
    return `${formatDuration((maxIters - step) * secondsPerStep)} left`;
  }
}

/** Describes the data, and how much of it the steps so far have used. */
function describeData({ name, shards, tokens, tokensPerStep, order }: DataInfo, step: number) {
  const used = (step * tokensPerStep) / tokens;
  const parts = [name];
  if (shards.length > 0) parts.push(`${formatInteger(shards.length)} shards`);
  if (order === "epochs") parts.push(`epoch ${formatInteger(Math.floor(used) + 1)}`);
  const share = order === "epochs" ? used % 1 : used;
  const count = `${formatInteger(tokens)} tokens`;
  if (share <= 1) parts.push(`${(100 * share).toFixed(1)} % of ${count} seen`);
  else parts.push(`${count}, each seen ${share.toFixed(1)} times on average`);
  return parts.join(" · ");
}

function createButton(name: string): HTMLButtonElement {
  return element("button", { type: "button", "data-name": name }, name);
}

function updateButton(
  button: HTMLButtonElement,
  name: string,
  isPending: boolean,
  isEnabled: boolean,
): void {
  button.textContent = isPending ? "pending…" : name;
  button.ariaLabel = isPending ? `${name}: pending` : name;
  button.disabled = !isEnabled;
  // not `disabled` while pending: the pressed button keeps the keyboard focus
  button.ariaDisabled = String(isPending);
}
