// The button that starts over with the selected settings, and a line that says which of them the
// running training does not have yet.

import { element } from "../../web/page/element.ts";
import type { RunInfo } from "../protocol.ts";
import type { Settings } from "../settings.ts";
import { immediate } from "./settings-form.ts";

interface PendingActions {
  startOver(): void;
  /** Continues a model that was opened without a text. */
  trainOnText(): void;
}

export class PendingSettings {
  readonly root: HTMLElement;
  readonly #restart: HTMLButtonElement;
  readonly #train: HTMLButtonElement;
  readonly #text = element("p", { class: "small soft pending" });

  constructor({ startOver, trainOnText }: PendingActions) {
    this.#restart = element("button", { type: "button", onclick: () => startOver() }, "Start over");
    const attributes = { type: "button", class: "main", hidden: true };
    this.#train = element(
      "button",
      { ...attributes, onclick: () => trainOnText() },
      "Train on this text",
    );
    this.root = element("div", { class: "apply" }, this.#train, this.#restart, this.#text);
  }

  /** `isNewText` is true if the user's text has changed since the run was started. */
  show(
    run: RunInfo | null,
    settings: Settings,
    isNewText: boolean,
    problem: string,
    isUntrained: boolean,
  ): void {
    const names = Object.keys(settings) as (keyof Settings)[];
    const isChanged = (name: keyof Settings) =>
      !immediate.includes(name) && run !== null && run.settings[name] !== settings[name];
    const hasChanged = names.some(isChanged) || isNewText;
    this.#train.hidden = !isUntrained;
    this.#restart.disabled = problem !== "";
    this.#restart.classList.toggle("main", hasChanged && !isUntrained);
    this.#restart.textContent = hasChanged ? "Start over with these settings" : "Start over";
    this.#text.textContent = hasChanged ? "The running training still has the old settings." : "";
  }
}
