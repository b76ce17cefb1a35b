// Chat templates: how the messages of a conversation become the text that a model was trained on.
// Models of Hugging Face carry theirs as a Jinja template.

import { Template } from "@huggingface/jinja";
import { TokenizerError } from "./tokenizer.ts";

/** A message of a conversation. */
export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** The special tokens that a template may insert, by the names it knows them by. */
export interface ChatTokens {
  bos_token: string;
  eos_token: string;
}

/** A compiled chat template. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #tokens: ChatTokens;

  /** Throws a TokenizerError if the source is not a template in the supported part of Jinja. */
  constructor(source: string, tokens: ChatTokens) {
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw toTokenizerError(cause);
    }
    this.#tokens = tokens;
  }

  /**
   * Returns the text of a conversation, up to where the model's next answer begins. Throws a
   * TokenizerError with the template's own message if it does not take these messages: some take
   * no system message.
   */
  render(messages: readonly ChatMessage[]): string {
    try {
      return this.#template.render({ messages, add_generation_prompt: true, ...this.#tokens });
    } catch (cause) {
      throw toTokenizerError(cause);
    }
  }
}

function toTokenizerError(cause: unknown): TokenizerError {
  return new TokenizerError(`chat template: ${(cause as Error).message}`, { cause });
}
