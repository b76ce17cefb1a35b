// A field for code, with the numbers of its lines; the one with an error is marked, and the error
// stands below.

import { element } from "./element.ts";

export interface Editor {
  root: HTMLElement;
  code: string;
  /** Shows what is wrong; a message that begins with `line 3` marks that line. "": nothing is. */
  problem(message: string): void;
}

/** `changed` is told when the code has been typed in, not when it was set. */
export function codeEditor(label: string, changed: () => void): Editor {
  const numbers = element("div", { class: "line-numbers", "aria-hidden": "true" });
  const message = element("p", { class: "problem error", id: "code-problem", role: "alert" });
  const field = element("textarea", {
    "aria-label": label,
    "aria-describedby": "code-problem",
    rows: 10,
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    wrap: "off",
    maxlength: 2000,
  });
  const count = () => {
    const lines = field.value.split("\n").length;
    while (numbers.childElementCount > lines) numbers.lastElementChild?.remove();
    for (let i = numbers.childElementCount + 1; i <= lines; i++)
      numbers.append(element("div", {}, String(i)));
  };
  field.addEventListener("input", () => {
    count();
    changed();
  });
  field.addEventListener("scroll", () => {
    numbers.scrollTop = field.scrollTop;
  });
  const editor = element("div", { class: "editor" }, numbers, field);
  return {
    root: element("div", {}, editor, message),
    get code() {
      return field.value;
    },
    set code(code) {
      field.value = code;
      field.scrollTop = 0;
      count();
    },
    problem(text) {
      message.textContent = text;
      const line = Number(/^line (\d+)/.exec(text)?.[1] ?? 0);
      field.setAttribute("aria-invalid", String(text !== ""));
      for (const [i, each] of [...numbers.children].entries())
        each.className = i + 1 === line ? "wrong" : "";
    },
  };
}
