// The text to learn from: one of two built-in texts, or one that is pasted, dropped or opened.

import { createSegments } from "../../web/page/controls.ts";
import { element } from "../../web/page/element.ts";
import { formatInteger } from "../../web/page/format.ts";
import type { TextName } from "../settings.ts";

/** The longest text in bytes. It is kept in memory several times, as text and as tokens. */
const MAX_BYTES = 20 * 2 ** 20;
/** The number of characters from which on a text makes the text area slow. */
const MAX_SHOWN = 200_000;
const EXCERPT = 160;

interface OwnText {
  name: string;
  text: string;
}

const labels: Record<TextName, string> = { names: "names", "moby-dick": "Moby-Dick", own: "yours" };
const descriptions = {
  names: "8,375 first names",
  "moby-dick": "the first 21 chapters of Moby-Dick, by Herman Melville",
};

export class TextPicker {
  readonly #onChange: () => void;
  readonly #segments: HTMLElement;
  readonly #description = element("p", { class: "small soft" });
  readonly #excerpt = element("pre", { class: "excerpt", "aria-label": "beginning of the text" });
  readonly #area = element("textarea", {
    rows: 6,
    spellcheck: "false",
    "aria-label": "your text",
    placeholder: "Paste a text of a few thousand characters or more: poems, recipes, code…",
  });
  readonly #own: HTMLElement;
  readonly #error = element("p", { class: "error small", role: "alert" });
  readonly #builtIn = new Map<TextName, Promise<string>>();
  #selected: TextName;
  #ownText: OwnText = { name: "your text", text: "" };
  /** The text of the run. */
  #used = "";

  /** `onChange` is called when the user has chosen another text. */
  constructor(root: HTMLElement, selected: TextName, onChange: () => void) {
    this.#selected = selected;
    this.#onChange = onChange;
    this.#segments = createSegments("text", labels, selected, (name) => {
      this.#show(name);
      onChange();
    });
    const file = element("input", { type: "file", class: "visually-hidden", "aria-label": "text" });
    file.addEventListener("change", () => {
      const [first] = file.files ?? [];
      if (first) void this.open(first);
      file.value = "";
    });
    this.#area.addEventListener("input", () => {
      this.#ownText = { name: "your text", text: this.#area.value };
      this.#describe();
      onChange();
    });
    this.#area.addEventListener("paste", (event) => {
      const text = event.clipboardData?.getData("text/plain") ?? "";
      if (text.length < MAX_SHOWN) return;
      event.preventDefault();
      this.openText(text);
    });
    const choose = element("label", { class: "button" }, file, "Open a file");
    this.#own = element(
      "div",
      { class: "own" },
      this.#area,
      element("div", { class: "row" }, choose),
    );
    root.append(this.#segments, this.#own, this.#excerpt, this.#description, this.#error);
    this.#show(selected);
  }

  get selected(): TextName {
    return this.#selected;
  }

  /** True if the user's text is selected, and has changed since it was used. */
  get isNew(): boolean {
    return this.#selected === "own" && this.#ownText.text !== this.#used;
  }

  /** Returns the selected text and its name, to use it. Throws if there is none. */
  async read(): Promise<OwnText> {
    if (this.#selected !== "own")
      return { name: labels[this.#selected], text: await this.#fetch(this.#selected) };
    if (this.#ownText.text.trim() === "") throw new Error("Paste or open a text first.");
    this.#used = this.#ownText.text;
    return this.#ownText;
  }

  /** Selects a text without calling onChange(). `own` is the text of the user. */
  select(name: TextName, own?: OwnText): void {
    if (own) {
      this.#ownText = own;
      this.#used = own.text;
      this.#area.value = own.text.length < MAX_SHOWN ? own.text : "";
    }
    this.#show(name);
  }

  #fetch(name: TextName): Promise<string> {
    const known = this.#builtIn.get(name);
    if (known) return known;
    const text = fetch(new URL(`texts/${name}.txt`, import.meta.url)).then((response) => {
      if (!response.ok) throw new Error(`the text ${name} could not be loaded`);
      return response.text();
    });
    this.#builtIn.set(name, text);
    text.catch(() => this.#builtIn.delete(name)); // so that it is tried again
    return text;
  }

  #show(name: TextName): void {
    this.#selected = name;
    for (const radio of this.#segments.querySelectorAll("input"))
      radio.checked = radio.value === name;
    this.#own.hidden = name !== "own";
    this.#excerpt.hidden = name === "own";
    this.#error.textContent = "";
    this.#describe();
    if (name === "own") return;
    this.#fetch(name).then(
      (text) => {
        if (this.#selected === name) this.#excerpt.textContent = excerptOf(name, text);
      },
      (error) => this.#fail(error),
    );
  }

  #describe(): void {
    const { text, name } = this.#ownText;
    const { selected } = this;
    if (selected !== "own") this.#description.textContent = `Learn from ${descriptions[selected]}.`;
    else if (text === "") this.#description.textContent = "Or drop a text file on this page.";
    else this.#description.textContent = `${name}: ${formatInteger(text.length)} characters`;
  }

  /** Selects the text in a file. */
  async open(file: File): Promise<void> {
    try {
      checkSize(file.name, file.size);
      this.#use({ name: file.name, text: decode(file.name, await file.arrayBuffer()) });
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Selects a text that was pasted or dropped. */
  openText(text: string): void {
    try {
      checkSize("the text", text.length);
      this.#use({ name: "your text", text: toUnixLines(text) });
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Selects another text of the user, which no run has used yet. */
  #use(own: OwnText): void {
    const used = this.#used;
    this.select("own", own);
    this.#used = used;
    this.#onChange();
  }

  #fail({ message }: Error): void {
    this.#error.textContent = message;
  }
}

/** Names are shown in a row, like words. */
function excerptOf(name: TextName, text: string): string {
  const start = text.slice(0, EXCERPT);
  return `${name === "names" ? start.replaceAll("\n", "  ") : start}…`;
}

function checkSize(name: string, size: number): void {
  if (size > MAX_BYTES)
    throw new Error(
      `${name} has more than ${MAX_BYTES / 2 ** 20} MB, the most that a page trains on`,
    );
}

function toUnixLines(text: string): string {
  return text.replaceAll("\r\n", "\n");
}

function decode(name: string, bytes: ArrayBuffer): string {
  try {
    return toUnixLines(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Error(`${name} is not a text in UTF-8`);
  }
}
