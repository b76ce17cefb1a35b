// What the model writes, token by token as it comes, each shaded by how improbable it was.

import type { GeneratedToken } from "../protocol.ts";
import { fetchJsonLines } from "./api.ts";
import { element } from "./element.ts";
import type { Sampling } from "./sampling.ts";

/** A token of this many bits, -log2 of its probability, or more has the deepest shade. */
const MOST_BITS = 8;
const HINT = "Point at a token: its probability";

/** What is gone on from, and how. */
export interface Beginning {
  run: string;
  text: string;
  sampling: Sampling;
}

export class Generation {
  readonly element: HTMLElement;
  readonly #beginning: () => Beginning | null;
  readonly #start = element("button", { type: "submit", class: "main" }, "Generate");
  readonly #stop = element("button", { type: "button", disabled: true }, "Stop");
  readonly #tokens = element("input", {
    ...{ type: "number", min: 1, max: 10_000, value: 300, required: true },
  });
  readonly #seed = element("input", {
    ...{ type: "number", min: 0, max: 2 ** 32 - 1, placeholder: "any" },
  });
  readonly #text: HTMLElement;
  readonly #readout = element("output", { class: "readout" }, HINT);
  readonly #status = element("p", { class: "small soft", role: "status" }, "\u00a0");
  #running: AbortController | null = null;
  #at: HTMLElement | null = null;

  /** `beginning` is asked what to go on from; null: nothing can be. */
  constructor(beginning: () => Beginning | null) {
    this.#beginning = beginning;
    this.#stop.addEventListener("click", () => this.stop());
    this.#text = element("div", {
      class: "written",
      tabindex: 0,
      role: "group",
      "aria-label": "the text, arrow keys walk through its tokens",
      onpointermove: ({ target }) => this.#point(target as HTMLElement),
      onpointerleave: () => document.activeElement !== this.#text && this.#point(null),
      onblur: () => this.#point(null),
      onkeydown: (event) => this.#walk(event as KeyboardEvent),
    });
    const form = element(
      "form",
      {
        class: "row",
        onsubmit: (event) => {
          event.preventDefault();
          this.#generate();
        },
      },
      element("label", {}, "tokens", this.#tokens),
      element("label", {}, "seed", this.#seed),
      this.#start,
      this.#stop,
    );
    const scale = ["1", "1/16", "1/256"].map((text) => element("span", {}, text));
    this.element = element(
      "section",
      { class: "card generation" },
      element("h2", {}, "Generation"),
      form,
      this.#readout,
      this.#text,
      element(
        "div",
        { class: "legend small soft" },
        element("div", { class: "colours written-colours" }),
        element("div", { class: "scale" }, ...scale),
        "The deeper its shade, the less probable the model itself had found a token.",
      ),
      this.#status,
    );
  }

  /** Ends the text where it is. */
  stop(): void {
    this.#running?.abort();
  }

  async #generate(): Promise<void> {
    const beginning = this.#beginning();
    if (!beginning) return;
    const { run, text, sampling } = beginning;
    const { temperature, topP, topK } = sampling;
    const running = new AbortController();
    this.#running = running;
    this.#busy(true);
    this.#point(null);
    this.#text.replaceChildren(element("span", { class: "soft" }, text));
    const tokens = Number(this.#tokens.value);
    const seed = this.#seed.value === "" ? {} : { seed: Number(this.#seed.value) };
    const cut = topK === Infinity ? {} : { topK };
    const question = { run, text, tokens, temperature, topP, ...cut, ...seed };
    const started = performance.now();
    let [count, bits, frame, how] = [0, 0, 0, "at its end"];
    let waiting: HTMLElement[] = [];
    const show = (how: string) => {
      this.#append(waiting);
      waiting = [];
      this.#status.textContent = summary(how, count, bits, started);
    };
    try {
      for await (const each of fetchJsonLines<GeneratedToken>(
        "/generate",
        question,
        running.signal,
      )) {
        waiting.push(tokenOf(each));
        count++;
        bits -= Math.log2(each.probability);
        // tokens may come faster than pictures: they are shown with the next one
        if (waiting.length === 1) frame = requestAnimationFrame(() => show("writing"));
      }
    } catch (error) {
      how = running.signal.aborted ? "stopped" : (error as Error).message;
    }
    cancelAnimationFrame(frame);
    show(how);
    this.#busy(false);
  }

  #busy(isBusy: boolean): void {
    const hadFocus = document.activeElement === (isBusy ? this.#start : this.#stop);
    this.#start.disabled = isBusy;
    this.#stop.disabled = !isBusy;
    if (hadFocus) (isBusy ? this.#stop : this.#start).focus();
  }

  /** Puts tokens behind the text, whose end stays in view if it was. */
  #append(tokens: HTMLElement[]): void {
    const box = this.#text;
    const isAtEnd = box.scrollTop + box.clientHeight > box.scrollHeight - 30;
    box.append(...tokens);
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  #point(token: HTMLElement | null): void {
    this.#at?.classList.remove("at");
    this.#at = token?.classList.contains("drawn") ? token : null;
    this.#at?.classList.add("at");
    this.#readout.textContent = this.#at?.title ?? HINT;
  }

  #walk(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const all = [...this.#text.querySelectorAll<HTMLElement>(".drawn")];
    if (!step || all.length === 0) return;
    event.preventDefault();
    const place = this.#at ? all.indexOf(this.#at) + step : 0;
    const token = all[Math.max(0, Math.min(all.length - 1, place))];
    this.#point(token);
    token.scrollIntoView({ block: "nearest" });
  }
}

function tokenOf({ text, id, probability }: GeneratedToken): HTMLElement {
  const title = `${JSON.stringify(text)}, id ${id}: ${probability.toPrecision(3)}`;
  const token = element("span", { class: "drawn", title }, text);
  token.style.setProperty("--surprise", String(Math.min(1, -Math.log2(probability) / MOST_BITS)));
  return token;
}

function summary(how: string, count: number, bits: number, started: number): string {
  if (count === 0) return how;
  const rate = (count / (performance.now() - started)) * 1000;
  const mean = (bits / count).toFixed(2);
  return `${how}: ${count} tokens, ${rate.toFixed(0)} a second, ${mean} bits each on average`;
}
