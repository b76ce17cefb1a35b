// The controls of the run above everything else: pause, start over, and its progress in numbers.

import { element, svgElement } from "../../web/page/element.ts";
import { formatDuration, formatInteger } from "../../web/page/format.ts";
import type { Progress, RunInfo } from "../protocol.ts";

export interface TransportActions {
  setPaused(isPaused: boolean): void;
  startOver(): void;
  /** Continues a finished run. */
  trainLonger(): void;
}

const icons = {
  pause: "M2 1h3v10H2z M7 1h3v10H7z",
  play: "M2.5 1v10L11 6z",
  restart: "M6 2a4 4 0 1 1-3.9 4.9l1.2-.3A2.8 2.8 0 1 0 6 3.2V5.500L2.800 2.600 6 0z",
};

export class Transport {
  readonly #actions: TransportActions;
  readonly #main = element("button", { type: "button", class: "main toggle", disabled: true });
  readonly #bar = element("progress", { "aria-label": "steps taken", max: 1, value: 0 });
  readonly #step = createStat("step");
  readonly #loss = createStat("loss");
  readonly #speed = createStat("tokens/s");
  readonly #parameters = createStat("parameters");
  readonly #time = createStat("time");
  #state: Progress["state"] = "training";

  constructor(root: HTMLElement, actions: TransportActions) {
    this.#actions = actions;
    this.#main.addEventListener("click", () => this.#toggle());
    const restart = element(
      "button",
      { type: "button", onclick: () => actions.startOver() },
      createIcon(icons.restart),
      "Start over",
    );
    this.#setMain(icons.pause, "Pause");
    root.append(
      element("div", { class: "row buttons" }, this.#main, restart),
      element(
        "dl",
        { class: "stats" },
        this.#step.root,
        this.#loss.root,
        this.#speed.root,
        this.#parameters.root,
        this.#time.root,
      ),
      this.#bar,
    );
  }

  showRun({ parameters }: RunInfo): void {
    this.#parameters.show(formatCount(parameters));
  }

  show(progress: Progress, loss: number, tokensPerSecond: number): void {
    const { state, step, maxIters, elapsedSeconds } = progress;
    this.#step.show(formatInteger(step), `of ${formatInteger(maxIters)}`);
    this.#loss.show(Number.isFinite(loss) ? loss.toFixed(2) : "–");
    this.#speed.show(tokensPerSecond > 0 ? formatInteger(tokensPerSecond) : "–");
    this.#time.show(formatDuration(Math.floor(elapsedSeconds)));
    this.#bar.max = maxIters;
    this.#bar.value = step;
    this.#main.disabled = state === "untrainable";
    if (state === this.#state) return;
    this.#state = state;
    if (state === "training") this.#setMain(icons.pause, "Pause");
    else if (state === "finished") this.#setMain(icons.play, "Train longer");
    else this.#setMain(icons.play, "Continue");
  }

  #toggle(): void {
    if (this.#state === "finished") this.#actions.trainLonger();
    else this.#actions.setPaused(this.#state === "training");
  }

  #setMain(icon: string, text: string): void {
    this.#main.replaceChildren(createIcon(icon), text);
  }
}

/** `812`, `61 K`, `0.21 M` */
export function formatCount(n: number): string {
  if (n < 1000) return String(n);
  if (n < 1e5) return `${(n / 1000).toFixed(0)} K`;
  return `${(n / 1e6).toFixed(2)} M`;
}

function createStat(name: string): { root: HTMLElement; show(value: string, of?: string): void } {
  const value = element("dd", {}, "–");
  const root = element("div", {}, element("dt", {}, name), value);
  return {
    root,
    show(text, of) {
      value.replaceChildren(text);
      if (of) value.append(element("small", {}, ` ${of}`));
    },
  };
}

function createIcon(path: string): SVGSVGElement {
  const size = { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" };
  return svgElement("svg", size, svgElement("path", { d: path }));
}
