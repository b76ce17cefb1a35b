// A conversation with a model that was trained to have one: the messages so far, and the next
// answer, as text that arrives token by token.

import { generate, type Sampling } from "../gpt/generate.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { BPETokenizer } from "../tokenizers/bpe/bpe.ts";
import { type ChatMessage, ChatTemplate } from "../tokenizers/chat-template.ts";
import { decodeStream, type Tokenizer } from "../tokenizers/tokenizer.ts";
import type { ChatFormat } from "./chat-format.ts";

/** Options of sampling an answer. */
export interface AnswerOptions extends Sampling {
  maxNewTokens: number;
  seed?: number;
}

/** A conversation. */
export class Conversation {
  readonly #model: LanguageModel;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;
  readonly #stop: number[];
  readonly #messages: ChatMessage[];

  /** `messages` are those so far, such as a system message. */
  constructor(
    { model, tokenizer }: { model: LanguageModel; tokenizer: Tokenizer },
    format: ChatFormat,
    messages: readonly ChatMessage[] = [],
  ) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#template = new ChatTemplate(format.template, format.tokens);
    this.#stop = format.stop.filter((id) => id < tokenizer.vocabSize);
    this.#messages = [...messages];
  }

  /** The messages so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Yields the answer to a message of the user. Both are then part of the conversation, an answer
   * that is not read to its end as far as it was read. Throws a TokenizerError or RangeError, and
   * keeps the conversation as it was, if the template or the tokenizer rejects the message.
   */
  async *answer(content: string, options: AnswerOptions): AsyncGenerator<string> {
    const prompt = this.#ask(content, options.maxNewTokens);
    const answer: ChatMessage = { role: "assistant", content: "" };
    try {
      const ids = generate(this.#model, { ...options, prompt, stop: this.#stop });
      for await (const text of decodeStream(this.#tokenizer, ids, prompt)) {
        answer.content += text;
        yield text;
      }
    } finally {
      this.#messages.push(answer);
    }
  }

  /** Adds a message of the user, unless it cannot be encoded. Returns the ids of the prompt. */
  #ask(content: string, maxNewTokens: number): number[] {
    this.#messages.push({ role: "user", content });
    try {
      return this.#encode(maxNewTokens);
    } catch (error) {
      this.#messages.pop();
      throw error;
    }
  }

  /**
   * Returns the ids of the conversation. If they leave no room in the context for an answer, the
   * oldest questions and answers are forgotten, but not a system message.
   */
  #encode(maxNewTokens: number): number[] {
    const { blockSize } = this.#model.config;
    for (;;) {
      const text = this.#template.render(this.#messages);
      const ids =
        this.#tokenizer instanceof BPETokenizer
          ? this.#tokenizer.encode(text, { allowedSpecial: "all" })
          : this.#tokenizer.encode(text);
      const oldest = this.#messages.findIndex(({ role }) => role !== "system");
      const canForget = oldest + 2 < this.#messages.length;
      if (!canForget || ids.length + Math.min(maxNewTokens, blockSize / 2) <= blockSize) return ids;
      this.#messages.splice(oldest, 2);
    }
  }
}
