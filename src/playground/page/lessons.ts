// The Lessons view: the lessons of the course, whose code can be changed and run, with what they
// print and the figures that they draw.

import { createEditor, type Editor } from "../../web/page/editor.ts";
import { element } from "../../web/page/element.ts";
import type { LessonMessage, LessonRequest } from "../protocol.ts";

interface Lesson {
  /** Such as 01-value. */
  name: string;
  number: number;
  title: string;
  introduction: string;
  code: string;
}

const MAX_CODE = 100_000;

export class LessonsView {
  readonly #lessons: Lesson[];
  readonly #list = element("ol", { class: "lesson-list" });
  readonly #title = element("h2");
  readonly #introduction = element("div", { class: "introduction" });
  readonly #editor: Editor;
  readonly #run = element("button", { type: "button", class: "main" }, "Run");
  readonly #reset = element("button", { type: "button", disabled: true }, "Reset the code");
  readonly #state = element("p", { class: "small soft", role: "status" });
  readonly #output = element("div", {
    class: "output",
    tabindex: 0,
    role: "region",
    "aria-label": "output",
  });
  /** The code that the user has changed, by lesson. */
  readonly #edited = new Map<string, string>();
  /** The files that lessons have written for later ones. */
  readonly #files = new Map<string, string>();
  #current: Lesson;
  #worker: Worker | null = null;

  constructor(root: HTMLElement, lessons: Lesson[]) {
    this.#lessons = lessons;
    this.#current = lessons[0];
    this.#editor = createEditor("code of the lesson", () => this.#onEdit(), MAX_CODE);
    this.#run.addEventListener("click", () => (this.#worker ? this.#stop() : this.#start()));
    this.#reset.addEventListener("click", () => {
      this.#edited.delete(this.#current.name);
      this.#show(this.#current);
    });
    this.#list.append(...lessons.map((lesson) => this.#createItem(lesson)));
    root.append(
      element(
        "div",
        { class: "course" },
        element(
          "nav",
          { class: "card", "aria-label": "lessons" },
          element("h2", {}, "Lessons"),
          this.#list,
          element(
            "p",
            { class: "small soft" },
            "Lessons 15 and 17 read files of the project: npm run lesson 15 runs them in a clone.",
          ),
        ),
        element(
          "div",
          { class: "lesson" },
          element("section", { class: "card" }, this.#title, this.#introduction),
          element(
            "section",
            { class: "card code" },
            element("div", { class: "row actions" }, this.#run, this.#reset, this.#state),
            this.#editor.root,
          ),
          element("section", { class: "card" }, element("h2", {}, "Output"), this.#output),
        ),
      ),
    );
    this.#show(this.#current);
  }

  /** Loads the lessons and creates their view. */
  static async create(root: HTMLElement): Promise<void> {
    try {
      const response = await fetch(new URL("lessons.json", import.meta.url));
      if (!response.ok) throw new Error(`status ${response.status}`);
      new LessonsView(root, await response.json());
    } catch (error) {
      const { message } = error as Error;
      root.append(element("p", { class: "error" }, `The lessons could not be loaded: ${message}`));
    }
  }

  #createItem(lesson: Lesson): HTMLElement {
    const onclick = () => this.#show(lesson);
    const number = element("span", { class: "soft" }, String(lesson.number));
    const button = element("button", { type: "button", onclick }, number, lesson.title);
    return element("li", {}, button);
  }

  #show(lesson: Lesson): void {
    this.#stop();
    this.#current = lesson;
    for (const [i, button] of [...this.#list.querySelectorAll("button")].entries())
      button.ariaCurrent = this.#lessons[i] === lesson ? "true" : null;
    this.#title.textContent = `${lesson.number}. ${lesson.title}`;
    const paragraphs = lesson.introduction.split("\n\n");
    this.#introduction.replaceChildren(...paragraphs.map((text) => element("p", {}, text)));
    this.#editor.code = this.#edited.get(lesson.name) ?? lesson.code;
    this.#editor.setError("");
    this.#reset.disabled = !this.#edited.has(lesson.name);
    this.#state.textContent = "You can change the code before you run it.";
    this.#output.replaceChildren();
  }

  #onEdit(): void {
    this.#edited.set(this.#current.name, this.#editor.code);
    this.#reset.disabled = false;
    this.#editor.setError("");
  }

  #start(): void {
    this.#output.replaceChildren();
    this.#editor.setError("");
    this.#state.textContent = "Running…";
    this.#run.textContent = "Stop";
    const address = new URL("lesson-worker.js", import.meta.url);
    const worker = new Worker(address, { type: "module", name: "lesson" });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<LessonMessage>) => this.#onMessage(data);
    worker.onerror = ({ message }) => this.#onMessage({ kind: "error", text: message });
    const request: LessonRequest = { code: this.#editor.code, files: this.#files };
    worker.postMessage(request);
  }

  #onMessage(message: LessonMessage): void {
    switch (message.kind) {
      case "output":
        this.#print(message.text);
        break;
      case "file":
        if (message.path.endsWith(".svg")) this.#draw(message.content);
        else this.#files.set(message.path, message.content);
        break;
      case "done":
        this.#stop();
        this.#state.textContent = `Done in ${message.seconds.toFixed(1)} s.`;
        break;
      case "error":
        this.#stop();
        this.#state.textContent = "Stopped by an error.";
        this.#editor.setError(toEditorError(message.text));
        break;
    }
  }

  /** Appends text to the output. A figure is shown as a picture instead of as text. */
  #print(text: string): void {
    const figure = /^[\s\S]*\n\(saved as .*\.svg\)\n$/.test(text);
    if (figure) return;
    const last = this.#output.lastElementChild;
    if (last instanceof HTMLPreElement) last.append(text);
    else this.#output.append(element("pre", {}, text));
  }

  #draw(svg: string): void {
    const image = element("img", { alt: "figure of the lesson" });
    // as an image, because an SVG inside the page could contain scripts
    image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
    this.#output.append(image);
  }

  #stop(): void {
    if (!this.#worker) return;
    this.#worker.terminate();
    this.#worker = null;
    this.#run.textContent = "Run";
    this.#state.textContent = "Stopped.";
  }
}

/** Puts the line of an error first, where the editor looks for it. */
function toEditorError(text: string): string {
  const [, line] = / \(line (\d+)\)$/.exec(text) ?? [];
  return line ? `line ${line}: ${text.replace(/ \(line \d+\)$/, "")}` : text;
}
