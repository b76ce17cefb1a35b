// A code editor with line numbers. It marks the line of an error, and shows the message below.

import { element } from "./element.ts";

export interface Editor {
  root: HTMLElement;
  code: string;
  /** Shows an error, and marks its line if it starts with `line 3`. "" clears the error. */
  setError(message: string): void;
}

/**
 * Creates an editor for at most `maxLength` characters. `onInput` is called when the user edits the
 * code, not when it is set.
 */
export function createEditor(label: string, onInput: () => void, maxLength = 2000): Editor {
  const lineNumbers = element("div", { class: "line-numbers", "aria-hidden": "true" });
  const errorId = `${label}-error`.replaceAll(" ", "-");
  const error = element("p", { class: "message error", id: errorId, role: "alert" });
  const textArea = element("textarea", {
    "aria-label": label,
    "aria-describedby": errorId,
    rows: 10,
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    wrap: "off",
    maxlength: maxLength,
  });
  const updateLineNumbers = () => {
    const count = textArea.value.split("\n").length;
    while (lineNumbers.childElementCount > count) lineNumbers.lastElementChild?.remove();
    for (let line = lineNumbers.childElementCount + 1; line <= count; line++)
      lineNumbers.append(element("div", {}, String(line)));
  };
  textArea.addEventListener("input", () => {
    updateLineNumbers();
    onInput();
  });
  textArea.addEventListener("scroll", () => {
    lineNumbers.scrollTop = textArea.scrollTop;
  });
  const frame = element("div", { class: "editor" }, lineNumbers, textArea);
  return {
    root: element("div", {}, frame, error),
    get code() {
      return textArea.value;
    },
    set code(code) {
      textArea.value = code;
      textArea.scrollTop = 0;
      updateLineNumbers();
    },
    setError(message) {
      error.textContent = message;
      textArea.setAttribute("aria-invalid", String(message !== ""));
      const errorLine = Number(/^line (\d+)/.exec(message)?.[1] ?? 0);
      for (const [i, lineNumber] of [...lineNumbers.children].entries())
        lineNumber.className = i + 1 === errorLine ? "wrong" : "";
    },
  };
}
