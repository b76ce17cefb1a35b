// A chat with a model that has a chat template: the messages, and the answer as it is generated.

import type { ChatRequest, ChatText } from "../protocol.ts";
import { fetchJsonLines } from "./api.ts";
import { element } from "./element.ts";
import type { SamplingOptions } from "./sampling.ts";

/** The characters of the messages that are sent, of at most 64 KB a request: the last ones. */
const MAX_CHARACTERS = 15_000;

type Message = ChatRequest["messages"][number];

/** The run that answers, and how answers are sampled. */
export interface ChatModel {
  run: string;
  sampling: SamplingOptions;
}

export class Chat {
  readonly root: HTMLElement;
  readonly #getModel: () => ChatModel | null;
  readonly #log = element("div", { class: "chat-log", role: "log", tabindex: 0 });
  readonly #input = element("textarea", {
    rows: 2,
    placeholder: "Message",
    "aria-label": "message",
    onkeydown: (event) => this.#onKey(event as KeyboardEvent),
  });
  readonly #system = element("input", { type: "text", placeholder: "none" });
  readonly #tokenCount = element("input", {
    type: "number",
    min: 1,
    max: 10_000,
    value: 300,
    required: true,
  });
  readonly #send = element("button", { type: "submit", class: "main" }, "Send");
  readonly #stop = element("button", { type: "button", disabled: true }, "Stop");
  readonly #clear = element("button", { type: "button" }, "New chat");
  readonly #status = element("p", { class: "small soft", role: "status" }, "\u00a0");
  #messages: Message[] = [];
  #running: AbortController | null = null;

  /** `getModel` returns the model to ask, or null if none is loaded. */
  constructor(getModel: () => ChatModel | null) {
    this.#getModel = getModel;
    this.#stop.addEventListener("click", () => this.stop());
    this.#clear.addEventListener("click", () => this.clear());
    const onsubmit = (event: Event) => {
      event.preventDefault();
      this.#ask();
    };
    this.root = element(
      "section",
      { class: "card chat", hidden: true },
      element("h2", {}, "Chat"),
      this.#log,
      element(
        "form",
        { onsubmit },
        this.#input,
        element(
          "div",
          { class: "row" },
          this.#send,
          this.#stop,
          this.#clear,
          element("label", {}, "tokens", this.#tokenCount),
          element("label", {}, "system message", this.#system),
        ),
      ),
      this.#status,
    );
  }

  /** Shows the chat if the model has a chat template. */
  show(hasChat: boolean): void {
    this.root.hidden = !hasChat;
  }

  /** Stops the answer. The text so far stays. */
  stop(): void {
    this.#running?.abort();
  }

  /** Forgets all messages. */
  clear(): void {
    this.stop();
    this.#messages = [];
    this.#log.replaceChildren();
    this.#status.textContent = "\u00a0";
  }

  /** Sends the message, and shows the answer as it arrives. */
  async #ask(): Promise<void> {
    const model = this.#getModel();
    const content = this.#input.value;
    if (!model || this.#running || content.trim() === "") return;
    const messages = this.#messages; // clear() replaces them
    messages.push({ role: "user", content });
    this.#append("user", content);
    this.#input.value = "";
    const bubble = this.#append("assistant", "");
    const answer: Message = { role: "assistant", content: "" };
    const running = new AbortController();
    this.#setRunning(running);
    let status = "\u00a0";
    try {
      const request = this.#createRequest(model, messages);
      for await (const { text } of fetchJsonLines<ChatText>("/chat", request, running.signal)) {
        answer.content += text;
        bubble.textContent = answer.content;
        this.#log.scrollTop = this.#log.scrollHeight;
      }
      messages.push(answer);
    } catch (error) {
      status = running.signal.aborted ? "stopped" : (error as Error).message;
      if (running.signal.aborted) {
        messages.push(answer);
      } else {
        messages.pop(); // so that the next message is not a second one of the user
        this.#input.value = content;
        for (const message of [bubble.previousElementSibling, bubble]) message?.remove();
      }
    }
    this.#setRunning(null);
    if (messages === this.#messages) this.#status.textContent = status;
  }

  #createRequest({ run, sampling }: ChatModel, messages: readonly Message[]): ChatRequest {
    const system: Message = { role: "system", content: this.#system.value };
    const { temperature, topK, topP } = sampling;
    return {
      run,
      messages: system.content === "" ? takeLast(messages) : [system, ...takeLast(messages)],
      tokens: this.#tokenCount.valueAsNumber,
      temperature,
      topP,
      ...(topK === Infinity ? {} : { topK }),
    };
  }

  #append(role: Message["role"], content: string): HTMLElement {
    const bubble = element("div", { class: `message ${role}` }, content);
    this.#log.append(bubble);
    this.#log.scrollTop = this.#log.scrollHeight;
    return bubble;
  }

  #setRunning(running: AbortController | null): void {
    this.#running = running;
    this.#send.disabled = running !== null;
    this.#stop.disabled = running === null;
    this.#log.ariaBusy = String(running !== null);
  }

  /** Enter sends the message, Shift+Enter begins a line. */
  #onKey(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#input.form?.requestSubmit();
  }
}

/** Returns the last messages with at most MAX_CHARACTERS, from a message of the user on. */
function takeLast(messages: readonly Message[]): Message[] {
  const count = (list: readonly Message[]) =>
    list.reduce((total, { content }) => total + content.length, 0);
  let first = 0;
  while (first + 2 < messages.length && count(messages.slice(first)) > MAX_CHARACTERS) first += 2;
  return messages.slice(first);
}
