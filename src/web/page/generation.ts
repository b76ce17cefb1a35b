// Text that the model generates, streamed token by token. Each token is shaded by its surprise, the
// negative log2 of its probability.

import type { GeneratedToken, GenerateRequest } from "../protocol.ts";
import { fetchJsonLines } from "./api.ts";
import { element } from "./element.ts";
import type { SamplingOptions } from "./sampling.ts";

/** The surprise in bits from which the shade is deepest. */
const MAX_BITS = 8;
const HINT = "Point at a token to see its probability";

export interface Prompt {
  run: string;
  text: string;
  sampling: SamplingOptions;
}

/** The progress of one generation. */
interface Progress {
  tokens: number;
  /** The sum over all tokens of -log2 p. */
  bits: number;
  startTime: number;
}

export class Generation {
  readonly root: HTMLElement;
  readonly #getPrompt: () => Prompt | null;
  readonly #start = element("button", { type: "submit", class: "main" }, "Generate");
  readonly #stop = element("button", { type: "button", disabled: true }, "Stop");
  readonly #tokenCount = element("input", {
    type: "number",
    min: 1,
    max: 10_000,
    value: 300,
    required: true,
  });
  readonly #seed = element("input", {
    type: "number",
    min: 0,
    max: 2 ** 32 - 1,
    placeholder: "any",
  });
  readonly #text: HTMLElement;
  readonly #readout = element("output", { class: "readout" }, HINT);
  readonly #status = element("p", { class: "small soft", role: "status" }, "\u00a0");
  #running: AbortController | null = null;
  #pointed: HTMLElement | null = null;

  /** `getPrompt` returns the text to continue, or null if no model is loaded. */
  constructor(getPrompt: () => Prompt | null) {
    this.#getPrompt = getPrompt;
    this.#stop.addEventListener("click", () => this.stop());
    this.#text = element("div", {
      class: "generated-text",
      tabindex: 0,
      role: "group",
      "aria-label": "generated text, arrow keys move through its tokens",
      onpointermove: ({ target }) => this.#point(target as HTMLElement),
      onpointerleave: () => document.activeElement !== this.#text && this.#point(null),
      onblur: () => this.#point(null),
      onkeydown: (event) => this.#onKey(event as KeyboardEvent),
    });
    this.root = element(
      "section",
      { class: "card generation" },
      element("h2", {}, "Generation"),
      this.#createForm(),
      this.#readout,
      this.#text,
      createLegend(),
      this.#status,
    );
  }

  #createForm(): HTMLElement {
    const onsubmit = (event: Event) => {
      event.preventDefault();
      this.#generate();
    };
    return element(
      "form",
      { class: "row", onsubmit },
      element("label", {}, "tokens", this.#tokenCount),
      element("label", {}, "seed", this.#seed),
      this.#start,
      this.#stop,
    );
  }

  /** Stops the generation. The text so far stays. */
  stop(): void {
    this.#running?.abort();
  }

  async #generate(): Promise<void> {
    const prompt = this.#getPrompt();
    if (!prompt) return;
    const running = new AbortController();
    this.#running = running;
    this.#setRunning(true);
    this.#point(null);
    this.#text.replaceChildren(element("span", { class: "soft" }, prompt.text));
    const progress: Progress = { tokens: 0, bits: 0, startTime: performance.now() };
    let pending: HTMLElement[] = [];
    let frame = 0;
    let outcome = "done";
    const showPending = (state: string) => {
      this.#append(pending);
      pending = [];
      this.#status.textContent = summarize(state, progress);
    };
    try {
      const request = this.#createRequest(prompt);
      const tokens = fetchJsonLines<GeneratedToken>("/generate", request, running.signal);
      for await (const token of tokens) {
        pending.push(createTokenElement(token));
        progress.tokens++;
        progress.bits -= Math.log2(token.probability);
        // tokens may arrive faster than frames: those of a frame are shown together
        if (pending.length === 1) frame = requestAnimationFrame(() => showPending("generating"));
      }
    } catch (error) {
      outcome = running.signal.aborted ? "stopped" : (error as Error).message;
    }
    cancelAnimationFrame(frame);
    showPending(outcome);
    this.#setRunning(false);
  }

  #createRequest({ run, text, sampling }: Prompt): GenerateRequest {
    const { temperature, topK, topP } = sampling;
    const request: GenerateRequest = {
      run,
      text,
      tokens: this.#tokenCount.valueAsNumber,
      temperature,
      topP,
    };
    if (topK !== Infinity) request.topK = topK;
    if (this.#seed.value !== "") request.seed = this.#seed.valueAsNumber;
    return request;
  }

  /** Enables one of the two buttons, which keeps the keyboard focus of the other. */
  #setRunning(isRunning: boolean): void {
    const enabled = isRunning ? this.#stop : this.#start;
    const disabled = isRunning ? this.#start : this.#stop;
    const hadFocus = document.activeElement === disabled;
    enabled.disabled = false;
    disabled.disabled = true;
    if (hadFocus) enabled.focus();
  }

  /** Appends tokens. If the end of the text was visible, it stays visible. */
  #append(tokens: HTMLElement[]): void {
    const box = this.#text;
    const isAtEnd = box.scrollTop + box.clientHeight > box.scrollHeight - 30;
    box.append(...tokens);
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  /** Highlights a token and shows its probability. Any other element clears both. */
  #point(target: HTMLElement | null): void {
    this.#pointed?.classList.remove("pointed");
    this.#pointed = target?.classList.contains("generated") ? target : null;
    this.#pointed?.classList.add("pointed");
    this.#readout.textContent = this.#pointed?.title ?? HINT;
  }

  #onKey(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const tokens = [...this.#text.querySelectorAll<HTMLElement>(".generated")];
    if (!step || tokens.length === 0) return;
    event.preventDefault();
    const target = this.#pointed ? tokens.indexOf(this.#pointed) + step : 0;
    const token = tokens[Math.max(0, Math.min(tokens.length - 1, target))];
    this.#point(token);
    token.scrollIntoView({ block: "nearest" });
  }
}

function createTokenElement({ text, id, probability }: GeneratedToken): HTMLElement {
  const title = `${JSON.stringify(text)}, id ${id}: ${probability.toPrecision(3)}`;
  const token = element("span", { class: "generated", title }, text);
  const surprise = Math.min(1, -Math.log2(probability) / MAX_BITS);
  token.style.setProperty("--surprise", String(surprise));
  return token;
}

function createLegend(): HTMLElement {
  const labels = ["1", "1/16", "1/256"].map((text) => element("span", {}, text));
  return element(
    "div",
    { class: "legend small soft" },
    element("div", { class: "colors probability-colors" }),
    element("div", { class: "scale" }, ...labels),
    "The stronger the shade, the lower a token's probability in the model's output.",
  );
}

function summarize(state: string, { tokens, bits, startTime }: Progress): string {
  if (tokens === 0) return state;
  const rate = (tokens / (performance.now() - startTime)) * 1000;
  const meanBits = (bits / tokens).toFixed(2);
  return `${state}: ${tokens} tokens, ${rate.toFixed(0)} tokens/s, ${meanBits} bits/token`;
}
