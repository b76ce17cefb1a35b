// Keeps runs: in the browser's storage, as files that the program reads too, and as links.

import { element } from "../../web/page/element.ts";

export interface FilesActions {
  save(): Promise<string>;
  openSaved(): Promise<void>;
  download(): Promise<void>;
  open(files: Iterable<File>): Promise<void>;
  getLink(): string;
}

export class FilesCard {
  readonly #message = element("p", { class: "small message", role: "status" });

  constructor(root: HTMLElement, actions: FilesActions) {
    const save = async () => this.show(await actions.save());
    const copy = async () => {
      // a page from http: has no clipboard
      if (!navigator.clipboard) throw new Error("Copy the address of the page: it is the link.");
      await navigator.clipboard.writeText(actions.getLink());
      this.show("The link is on the clipboard. It has the settings, not the model or your text.");
    };
    root.append(
      this.#createRow("In this browser", [
        this.#createButton("Save", save),
        this.#createButton("Open saved", () => actions.openSaved()),
      ]),
      this.#createRow("As files", [
        this.#createButton("Download", () => actions.download()),
        this.#createInput("Open", { accept: ".zip,.json,.jsonl,.safetensors,.txt" }, actions.open),
        this.#createInput("Open folder", { webkitdirectory: true }, actions.open),
      ]),
      this.#createRow("As a link", [this.#createButton("Copy link", copy)]),
      this.#message,
      element(
        "p",
        { class: "small soft" },
        "The files are those of the program: unzip the download, and ",
        element("code", {}, "npx tinybard sample --run DIR"),
        " writes with it; runs of the program open here. While it trains, the page also keeps " +
          "the run by itself, so that a reload continues it.",
      ),
    );
  }

  /** Shows a message, or an error. */
  show(message: string, isError = false): void {
    this.#message.textContent = message;
    this.#message.classList.toggle("error", isError);
  }

  #createRow(title: string, buttons: HTMLElement[]): HTMLElement {
    const row = element("div", { class: "row" }, ...buttons);
    return element("div", { class: "keep" }, element("h3", {}, title), row);
  }

  #createButton(text: string, action: () => Promise<void>): HTMLElement {
    const onclick = () => void this.#attempt(action);
    return element("button", { type: "button", onclick }, text);
  }

  /** Creates a button that opens the browser's dialog for files. */
  #createInput(
    text: string,
    attributes: Record<string, string | boolean>,
    open: (files: Iterable<File>) => Promise<void>,
  ): HTMLElement {
    const input = element("input", {
      type: "file",
      multiple: true,
      class: "visually-hidden",
      ...attributes,
    });
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = ""; // so that the same file can be selected again
      if (files.length > 0) void this.#attempt(() => open(files));
    });
    return element("label", { class: "button" }, input, text);
  }

  async #attempt(action: () => Promise<void>): Promise<void> {
    try {
      this.show("");
      await action();
    } catch (error) {
      this.show((error as Error).message, true);
    }
  }
}
