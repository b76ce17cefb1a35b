// The Attention view: what the model makes of a text, while it learns. It has the parts of the
// dashboard's Model view: tokens, attention maps and the distribution of the next token.

import { AttentionView } from "../../web/page/attention.ts";
import { element } from "../../web/page/element.ts";
import { formatInteger } from "../../web/page/format.ts";
import { NextToken } from "../../web/page/next-token.ts";
import { rankLogits } from "../../web/page/sampling.ts";
import { Tokens, toVisibleText } from "../../web/page/tokens.ts";
import type { Inspection } from "../protocol.ts";
import type { CurrentRun } from "./trainer.ts";

/** The time between two updates during training, in ms. */
const UPDATE_INTERVAL = 1000;
const TYPING_DELAY = 150;
const examples: Record<string, string> = {
  names: "Joshua\nAnabelle\nMar",
  "moby-dick": "Call me Ishmael. Some years ago",
};

export class ModelView {
  readonly #root: HTMLElement;
  readonly #getRun: () => CurrentRun | null;
  readonly #area = element("textarea", { rows: 3, spellcheck: "false", "aria-label": "text" });
  readonly #note = element("p", { class: "small soft note" }, "\u00a0");
  readonly #error = element("p", { class: "error small", role: "alert" });
  readonly #isLive = element("input", { type: "checkbox", checked: true });
  readonly #tokens: Tokens;
  readonly #attention: AttentionView;
  readonly #nextToken = new NextToken();
  #run: CurrentRun | null = null;
  #shown: Inspection | null = null;
  #timer = 0;
  /** The run that computes for this view. A worker that has been replaced does not answer. */
  #busy: CurrentRun | null = null;
  #isUpdating = false;

  constructor(root: HTMLElement, getRun: () => CurrentRun | null) {
    this.#root = root;
    this.#getRun = getRun;
    this.#tokens = new Tokens((position) => void this.#select(position));
    this.#attention = new AttentionView((query) => {
      const position = query ?? this.#tokens.position;
      this.#tokens.showWeights(this.#attention.getRow(position), query ?? -1);
    });
    this.#area.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => void this.#update(), TYPING_DELAY);
    });
    root.append(
      element(
        "section",
        { class: "card" },
        element(
          "div",
          { class: "row live" },
          element("h2", {}, "Inside the model"),
          element("label", {}, this.#isLive, "follow the training"),
        ),
        element(
          "p",
          { class: "soft" },
          "Type something. Each head of each layer decides how much every token looks at the " +
            "ones before it: watch these patterns form as the model learns.",
        ),
        this.#area,
        this.#tokens.root,
        this.#note,
        this.#error,
      ),
      element("section", { class: "card" }, element("h2", {}, "Attention"), this.#attention.root),
      this.#nextToken.root,
    );
    setInterval(() => {
      if (!this.#root.hidden && this.#isLive.checked && !document.hidden) void this.#update();
    }, UPDATE_INTERVAL);
    void this.#update();
  }

  /** Shows what the model makes of the text at this step. The selected token stays. */
  async #update(): Promise<void> {
    const run = this.#getRun();
    if (!run || this.#busy === run) return;
    if (run !== this.#run) {
      this.#run = run;
      this.#area.value = examples[run.info.settings.text] ?? run.info.text?.slice(0, 24) ?? "";
    }
    const text = this.#area.value;
    this.#busy = run;
    try {
      const inspection = await run.trainer.call("inspect", { text });
      this.#error.textContent = "";
      this.#show(run, inspection);
    } catch (error) {
      this.#error.textContent = (error as Error).message;
    }
    if (this.#busy === run) this.#busy = null;
    if (this.#area.value !== text) void this.#update();
  }

  #show({ info }: CurrentRun, inspection: Inspection): void {
    const { tokens, before, step, weights } = inspection;
    const ids = ({ tokens }: Inspection) => tokens.map(({ id }) => id).join();
    const isSameText = this.#shown !== null && ids(this.#shown) === ids(inspection);
    this.#shown = inspection;
    const ignored = before > 0 ? `, the last of ${tokens.length + before}` : "";
    this.#note.textContent = `Step ${formatInteger(step)}. ${tokens.length} tokens${ignored}.`;
    const { layers, heads } = info;
    this.#attention.root.hidden = layers === 0 || tokens.length === 0;
    if (layers > 0 && tokens.length > 0) this.#attention.show({ weights, layers, heads, tokens });
    this.#isUpdating = true;
    if (!isSameText) this.#tokens.show(tokens);
    this.#isUpdating = false;
    if (tokens.length === 0) this.#nextToken.show(null, info.vocabulary, "");
    else void this.#select(this.#tokens.position);
  }

  /** Shows the attention of a token and the distribution of the token after it. */
  async #select(position: number): Promise<void> {
    const inspection = this.#shown;
    const run = this.#run;
    if (this.#isUpdating || !inspection || !run || position < 0) return;
    const { tokens } = inspection;
    if (run.info.layers > 0) this.#tokens.showWeights(this.#attention.getRow(position), -1);
    const isLast = position === tokens.length - 1;
    const text = this.#area.value;
    const logits = isLast
      ? inspection.logits
      : await run.trainer.call("logits", { text, position }).catch(() => null);
    if (!logits || this.#shown !== inspection || this.#tokens.position !== position) return;
    const token = tokens[position];
    const name = toVisibleText(token.text, token.id);
    this.#nextToken.show(rankLogits(logits), run.info.vocabulary, name);
  }
}
