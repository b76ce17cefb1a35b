// The view that looks inside a model: a text, its tokens, where each head looks, what may come
// next, what the model writes, and its tables.

import type { ModelInfo, RunInfo, TokenizedText } from "../protocol.ts";
import { fetchFloats, fetchJson } from "./api.ts";
import { Attention } from "./attention.ts";
import { element } from "./element.ts";
import { Generation } from "./generation.ts";
import { Next } from "./next-token.ts";
import { rank } from "./sampling.ts";
import { Tables } from "./tables.ts";
import { shown, Tokens } from "./tokens.ts";

const FIRST_TEXT = "To be, or not to be, that is";
const PATIENCE = 250; // milliseconds without a key until a text is looked at

export function modelView(root: HTMLElement): void {
  let runs: RunInfo[] = [];
  let run = "";
  let model: ModelInfo | null = null;
  let seen: { text: string; look: TokenizedText } | null = null; // what was looked at last
  let asking = new AbortController();
  let timer = 0;

  const choice = element("select", { onchange: () => attempt(() => choose(choice.value)) });
  const again = element("button", { type: "button", onclick: () => attempt(start) }, "Look again");
  const text = element("textarea", {
    rows: 2,
    spellcheck: "false",
    "aria-label": "text",
    oninput: () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => attempt(read), PATIENCE);
    },
  });
  const note = element("p", { class: "small soft stand" }, "\u00a0");
  const problem = element("p", { class: "error small", role: "alert" });
  const tokens = new Tokens((position) => attempt(() => lookAt(position)));
  const attention = new Attention((row) => {
    const from = row ?? tokens.position;
    tokens.weigh(attention.rowOf(from), row ?? -1);
  });
  const heads = element("section", { class: "card" }, element("h2", {}, "Attention"));
  const none = element("p", { class: "soft" });
  heads.append(attention.element, none);
  const next = new Next();
  const generation = new Generation(
    () => model && { run, text: text.value, sampling: next.sampling },
  );
  const tables = new Tables();
  const looked = element(
    "div",
    { class: "looked", hidden: true }, // how large the maps are is not known before
    heads,
    element("div", { class: "pair" }, next.element, generation.element),
    tables.element,
  );
  root.append(
    element(
      "section",
      { class: "card" },
      element("div", { class: "row" }, element("label", {}, "run", choice), again),
      text,
      tokens.element,
      note,
      problem,
    ),
    looked,
  );

  /** Does what may fail, and says so if it does; what a newer question has overtaken is quiet. */
  async function attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if ((error as Error).name !== "AbortError") problem.textContent = (error as Error).message;
    }
  }

  async function start(): Promise<void> {
    runs = await fetchJson<RunInfo[]>("/runs");
    const able = runs.filter(({ hasCheckpoint }) => hasCheckpoint);
    choice.replaceChildren(...able.map(({ name }) => element("option", { value: name }, name)));
    if (able.length === 0) throw new Error("No run has a checkpoint yet: look again in a while.");
    const first = able.find(({ isLive }) => isLive) ?? able[0];
    await choose(able.some(({ name }) => name === run) ? run : first.name);
  }

  async function choose(name: string): Promise<void> {
    if (name !== run) generation.stop();
    choice.value = run = name;
    const got = await fetchJson<ModelInfo>(`/runs/${encodeURIComponent(name)}/model`);
    if (run !== name) return;
    model = got;
    if (text.value === "") text.value = firstText(model);
    const positions = runs.find((each) => each.name === name)?.config.positions;
    await Promise.all([read(), tables.show(name, model, positions)]);
  }

  /** Looks at the text as it is now. */
  async function read(): Promise<void> {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const question = { run, text: text.value };
    const got = await fetchJson<TokenizedText>("/tokens", question, signal);
    if (got.step !== model?.step) return choose(run); // there is a newer checkpoint
    problem.textContent = "";
    seen = { text: question.text, look: got };
    const { layers, heads } = model;
    const [count, more] = [got.tokens.length, got.before];
    note.textContent =
      `Step ${got.step}. ${count} tokens` +
      (more > 0 ? `, the last that are looked at: ${more} before them are not.` : ".");
    none.textContent =
      layers === 0 ? "A bigram has none: it looks at one token alone." : "The text has no tokens.";
    none.hidden = layers > 0 && count > 0;
    attention.element.hidden = !none.hidden;
    if (none.hidden) {
      const weights = await fetchFloats("/attention", question, signal);
      attention.show({ weights, layers, heads, tokens: got.tokens });
    }
    tokens.show(got.tokens);
    if (count === 0) next.show(null, model.vocabulary, "");
  }

  async function lookAt(position: number): Promise<void> {
    const [now, { vocabulary, layers }] = [seen as NonNullable<typeof seen>, model as ModelInfo];
    if (layers > 0) tokens.weigh(attention.rowOf(position), -1);
    const question = { run, text: now.text, position };
    const logits = await fetchFloats("/logits", question, asking.signal);
    if (seen !== now || tokens.position !== position) return; // another one is wanted
    const token = now.look.tokens[position];
    next.show(rank(logits), vocabulary, shown(token.text, token.id));
  }

  attempt(start).finally(() => {
    looked.hidden = false;
  });
}

/** A text that a model can read: all its characters are tokens, or one stands for the unknown. */
function firstText({ vocabulary }: ModelInfo): string {
  const known = new Set(vocabulary);
  const isKnown = known.has("<unk>") || [...FIRST_TEXT].every((each) => known.has(each));
  return isKnown ? FIRST_TEXT : vocabulary.slice(0, 12).join("");
}
