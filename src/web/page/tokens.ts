// A text as its tokens: a row of chips of which one is chosen.

import type { TokenizedText } from "../protocol.ts";
import { element } from "./element.ts";

/** A token's text so that all of it can be seen; its id, if it has none. */
export function shown(text: string, id: number): string {
  if (text === "") return `#${id}`;
  return text.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

export class Tokens {
  readonly element: HTMLElement;
  readonly #chosen: (position: number) => void;
  #chips: HTMLElement[] = [];
  #position = -1;

  /** `chosen` is told which token is. */
  constructor(chosen: (position: number) => void) {
    this.#chosen = chosen;
    this.element = element("div", {
      class: "tokens",
      role: "listbox",
      "aria-label": "tokens",
      "aria-orientation": "horizontal",
      onkeydown: (event) => this.#walk(event as KeyboardEvent),
    });
  }

  get position(): number {
    return this.#position;
  }

  /** Shows tokens, and chooses the last one. */
  show(tokens: TokenizedText["tokens"]): void {
    this.#chips = tokens.map(({ id, text }, position) =>
      element(
        "span",
        {
          class: "token",
          role: "option",
          title: `${JSON.stringify(text)}: id ${id}, position ${position}`,
          onclick: () => this.choose(position),
        },
        shown(text, id),
      ),
    );
    this.element.replaceChildren(...this.#chips);
    this.#position = -1;
    if (tokens.length > 0) this.choose(tokens.length - 1);
  }

  choose(position: number): void {
    this.#position = position;
    for (const [i, chip] of this.#chips.entries()) {
      chip.ariaSelected = String(i === position);
      chip.tabIndex = i === position ? 0 : -1;
    }
    const [box, { offsetTop, offsetHeight }] = [this.element, this.#chips[position]];
    const [first, last] = [offsetTop + offsetHeight - box.clientHeight, offsetTop];
    box.scrollTop = Math.max(first, Math.min(last, box.scrollTop)); // all of it is in view
    this.#chosen(position);
  }

  /** Underlines each token by a weight from 0 to 1; `from` is whose weights they are. */
  weigh(weights: ArrayLike<number>, from: number): void {
    for (const [i, chip] of this.#chips.entries()) {
      chip.style.setProperty("--weight", String(Math.sqrt(weights[i] ?? 0)));
      chip.classList.toggle("from", i === from);
    }
  }

  #walk(event: KeyboardEvent): void {
    const last = this.#chips.length - 1;
    const places: Record<string, number> = {
      ArrowRight: this.#position + 1,
      ArrowLeft: this.#position - 1,
      Home: 0,
      End: last,
    };
    const place = places[event.key];
    if (place === undefined) return;
    event.preventDefault();
    if (place < 0 || place > last) return;
    this.choose(place);
    this.#chips[place].focus();
  }
}
