// The tokens of a text as a row of chips, one of which is selected.

import type { TokenizedText } from "../protocol.ts";
import { element } from "./element.ts";

/** Makes the white space of a token visible. Returns its id if it has no text. */
export function toVisibleText(text: string, id: number): string {
  if (text === "") return `#${id}`;
  return text.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

export class Tokens {
  readonly root: HTMLElement;
  readonly #onSelect: (position: number) => void;
  #chips: HTMLElement[] = [];
  #position = -1;

  /** `onSelect` receives the position of a newly selected token. */
  constructor(onSelect: (position: number) => void) {
    this.#onSelect = onSelect;
    this.root = element("div", {
      class: "tokens",
      role: "listbox",
      "aria-label": "tokens",
      "aria-orientation": "horizontal",
      onkeydown: (event) => this.#onKey(event as KeyboardEvent),
    });
  }

  /** The position of the selected token, or -1 if there are no tokens. */
  get position(): number {
    return this.#position;
  }

  /** Shows tokens and selects the last one. */
  show(tokens: TokenizedText["tokens"]): void {
    this.#chips = tokens.map(({ id, text }, position) =>
      element(
        "span",
        {
          class: "token",
          role: "option",
          title: `${JSON.stringify(text)}: id ${id}, position ${position}`,
          onclick: () => this.select(position),
        },
        toVisibleText(text, id),
      ),
    );
    this.root.replaceChildren(...this.#chips);
    this.#position = -1;
    if (tokens.length > 0) this.select(tokens.length - 1);
  }

  select(position: number): void {
    this.#position = position;
    for (const [i, chip] of this.#chips.entries()) {
      const isSelected = i === position;
      chip.ariaSelected = String(isSelected);
      chip.tabIndex = isSelected ? 0 : -1;
    }
    this.#scrollTo(this.#chips[position]);
    this.#onSelect(position);
  }

  /** Scrolls within the row, and not the page, until a chip is fully visible. */
  #scrollTo(chip: HTMLElement): void {
    const box = this.root;
    const lowest = chip.offsetTop + chip.offsetHeight - box.clientHeight;
    const highest = chip.offsetTop;
    box.scrollTop = Math.max(lowest, Math.min(highest, box.scrollTop));
  }

  /** Underlines each token by its attention weight. `query` is the highlighted token, or -1. */
  showWeights(weights: ArrayLike<number>, query: number): void {
    for (const [i, chip] of this.#chips.entries()) {
      chip.style.setProperty("--weight", String(Math.sqrt(weights[i] ?? 0)));
      chip.classList.toggle("query", i === query);
    }
  }

  #onKey(event: KeyboardEvent): void {
    const last = this.#chips.length - 1;
    const targets: Record<string, number> = {
      ArrowRight: this.#position + 1,
      ArrowLeft: this.#position - 1,
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    if (target < 0 || target > last) return;
    this.select(target);
    this.#chips[target].focus();
  }
}
