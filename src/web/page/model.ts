// The Model view inspects a model with a text: its tokens, the attention maps, the distribution of
// the next token, generated text, and the embedding tables.

import type { ModelInfo, RunInfo, TokenizedText } from "../protocol.ts";
import { fetchFloats, fetchJson } from "./api.ts";
import { AttentionView } from "./attention.ts";
import { Chat } from "./chat.ts";
import { element } from "./element.ts";
import { Generation } from "./generation.ts";
import { NextToken } from "./next-token.ts";
import { rankLogits } from "./sampling.ts";
import { Tables } from "./tables.ts";
import { Tokens, toVisibleText } from "./tokens.ts";

const DEFAULT_TEXT = "To be, or not to be, that is";
const TYPING_DELAY_MS = 250; // the pause in typing after which the text is analyzed

export function createModelView(root: HTMLElement): void {
  let runs: RunInfo[] = [];
  let run = "";
  let model: ModelInfo | null = null;
  let analyzed: { text: string; tokens: TokenizedText["tokens"] } | null = null;
  let pending = new AbortController(); // of the requests for the current text
  let timer = 0;

  const runSelect = element("select", {
    onchange: () => attempt(() => selectRun(runSelect.value)),
  });
  const refresh = element(
    "button",
    { type: "button", onclick: () => attempt(loadRuns) },
    "Refresh",
  );
  const textArea = element("textarea", {
    rows: 2,
    spellcheck: "false",
    "aria-label": "text",
    oninput: () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => attempt(analyzeText), TYPING_DELAY_MS);
    },
  });
  const note = element("p", { class: "small soft note" }, "\u00a0");
  const errorMessage = element("p", { class: "error small", role: "alert" });
  const tokens = new Tokens((position) => attempt(() => selectToken(position)));
  const attention = new AttentionView((query) => {
    tokens.showWeights(attention.getRow(query ?? tokens.position), query ?? -1);
  });
  const noAttention = element("p", { class: "soft" });
  const attentionCard = element(
    "section",
    { class: "card" },
    element("h2", {}, "Attention"),
    attention.root,
    noAttention,
  );
  const nextToken = new NextToken();
  const generation = new Generation(
    () => model && { run, text: textArea.value, sampling: nextToken.sampling },
  );
  const chat = new Chat(() => model && { run, sampling: nextToken.sampling });
  const tables = new Tables();
  const analysis = element(
    "div",
    { class: "analysis", hidden: true }, // until it is loaded, to avoid a layout shift
    attentionCard,
    element("div", { class: "pair" }, nextToken.root, generation.root),
    chat.root,
    tables.root,
  );
  const input = element(
    "section",
    { class: "card" },
    element("div", { class: "row" }, element("label", {}, "run", runSelect), refresh),
    textArea,
    tokens.root,
    note,
    errorMessage,
  );
  root.append(input, analysis);

  /** Runs a task and shows its error. A request that a newer one has aborted is not an error. */
  async function attempt(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      const { name, message } = error as Error;
      if (name !== "AbortError") errorMessage.textContent = message;
    }
  }

  /** Fetches the runs and selects the current one, the live one, or the newest one. */
  async function loadRuns(): Promise<void> {
    runs = await fetchJson<RunInfo[]>("/runs");
    const usable = runs.filter(({ hasCheckpoint }) => hasCheckpoint);
    runSelect.replaceChildren(
      ...usable.map(({ name }) => element("option", { value: name }, name)),
    );
    if (usable.length === 0) throw new Error("No run has a checkpoint yet. Refresh later.");
    const isListed = usable.some(({ name }) => name === run);
    const fallback = usable.find(({ isLive }) => isLive) ?? usable[0];
    await selectRun(isListed ? run : fallback.name);
  }

  async function selectRun(name: string): Promise<void> {
    if (name !== run) {
      generation.stop();
      chat.clear();
    }
    run = name;
    runSelect.value = name;
    const info = await fetchJson<ModelInfo>(`/runs/${encodeURIComponent(name)}/model`);
    if (run !== name) return; // another run was selected in the meantime
    model = info;
    chat.show(info.hasChat);
    if (textArea.value === "") textArea.value = chooseText(info);
    const positions = runs.find((other) => other.name === name)?.config.positions;
    await Promise.all([analyzeText(), tables.show(name, info, positions)]);
  }

  /** Tokenizes the text and updates everything that depends on it. */
  async function analyzeText(): Promise<void> {
    pending.abort();
    pending = new AbortController();
    const { signal } = pending;
    const request = { run, text: textArea.value };
    const result = await fetchJson<TokenizedText>("/tokens", request, signal);
    // the run has saved a new checkpoint since the model was loaded
    if (result.step !== model?.step) return selectRun(run);
    errorMessage.textContent = "";
    analyzed = { text: request.text, tokens: result.tokens };
    note.textContent = describeTokens(result);
    const { layers, heads } = model;
    const isEmpty = result.tokens.length === 0;
    const hasMaps = layers > 0 && !isEmpty;
    attention.root.hidden = !hasMaps;
    noAttention.hidden = hasMaps;
    if (hasMaps) {
      const weights = await fetchFloats("/attention", request, signal);
      attention.show({ weights, layers, heads, tokens: result.tokens });
    } else {
      noAttention.textContent =
        layers === 0
          ? "A bigram model has no attention: its output depends only on the last token."
          : "The text has no tokens.";
    }
    tokens.show(result.tokens);
    if (isEmpty) nextToken.show(null, model.vocabulary, "");
  }

  /** Shows the attention of a token and the distribution of the token after it. */
  async function selectToken(position: number): Promise<void> {
    const current = analyzed as NonNullable<typeof analyzed>;
    const { vocabulary, layers } = model as ModelInfo;
    if (layers > 0) tokens.showWeights(attention.getRow(position), -1);
    const request = { run, text: current.text, position };
    const logits = await fetchFloats("/logits", request, pending.signal);
    if (analyzed !== current || tokens.position !== position) return; // the selection has changed
    const token = current.tokens[position];
    nextToken.show(rankLogits(logits), vocabulary, toVisibleText(token.text, token.id));
  }

  attempt(loadRuns).finally(() => {
    analysis.hidden = false;
  });
}

function describeTokens({ tokens, before, step }: TokenizedText): string {
  const count = tokens.length;
  return before > 0
    ? `Step ${step}. Showing the last ${count} tokens; the ${before} before them are ignored.`
    : `Step ${step}. ${count} tokens.`;
}

/** Returns the default text, or the start of the vocabulary if the text has unknown characters. */
function chooseText({ vocabulary }: ModelInfo): string {
  const known = new Set(vocabulary);
  const isKnown =
    known.has("<unk>") || [...DEFAULT_TEXT].every((character) => known.has(character));
  return isKnown ? DEFAULT_TEXT : vocabulary.slice(0, 12).join("");
}
