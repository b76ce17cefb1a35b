// The chat format of a run, chat.json: the template of its conversations and the tokens that end an
// answer. An import takes it from the files of transformers; runs that fine-tune or quantize the
// model have a copy.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { quote } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import { isObject, readJSONObject } from "../files/json.ts";
import { FileError, readText } from "../files/text.ts";
import type { ChatTokens } from "../tokenizers/chat-template.ts";

/** The name of the file in a run's folder. */
export const chatFile = "chat.json";

const MAX_TEMPLATE_BYTES = 2 ** 20;

/** The format of the conversations that a model was trained on. */
export interface ChatFormat {
  /** A Jinja template; see ChatTemplate. */
  template: string;
  tokens: ChatTokens;
  /** The ids that end an answer. */
  stop: number[];
}

/** Reads the chat format of a model of transformers; null if it has none. */
function readHuggingFaceChat(folder: string): ChatFormat | null {
  const tokenizer = readOptional(join(folder, "tokenizer_config.json"));
  const template = findTemplate(folder, tokenizer.chat_template);
  if (template === null) return null;
  const generation = readOptional(join(folder, "generation_config.json"));
  const config = readOptional(join(folder, "config.json"));
  const stop = [generation.eos_token_id ?? config.eos_token_id ?? []].flat();
  const tokens = {
    bos_token: getContent(tokenizer.bos_token),
    eos_token: getContent(tokenizer.eos_token),
  };
  return check(folder, { template, tokens, stop });
}

/**
 * Reads the chat format of a run, or of a model of transformers; null if it has none. Throws a
 * FileError if chat.json is invalid.
 */
export function readChatFormat(folder: string): ChatFormat | null {
  const file = join(folder, chatFile);
  if (!existsSync(file)) return readHuggingFaceChat(folder);
  return check(file, readJSONObject(file, 2 * MAX_TEMPLATE_BYTES));
}

/** Writes the chat format of a folder, if it has one, to the folder of a run. */
export function copyChatFormat(from: string, out: string): void {
  const format = readChatFormat(from);
  if (format) writeJSON(join(out, chatFile), format);
}

/** Returns the template of a field of tokenizer_config.json, or of the newer file of its own. */
function findTemplate(folder: string, field: unknown): string | null {
  const file = join(folder, "chat_template.jinja");
  if (existsSync(file)) return readText(file, MAX_TEMPLATE_BYTES);
  if (typeof field === "string") return field;
  const named = Array.isArray(field) ? field.filter(isObject) : [];
  const { template } = named.find(({ name }) => name === "default") ?? {};
  return typeof template === "string" ? template : null;
}

/** Returns the text of a special token: a string, or an object with its content. */
function getContent(token: unknown): string {
  const content = isObject(token) ? token.content : token;
  return typeof content === "string" ? content : "";
}

function readOptional(file: string): Record<string, unknown> {
  return existsSync(file) ? readJSONObject(file, MAX_TEMPLATE_BYTES) : {};
}

/** Throws a FileError that begins with `source` unless a value is a ChatFormat. */
function check(source: string, value: object): ChatFormat {
  const { template, tokens, stop } = value as Partial<ChatFormat>;
  const reject = (name: string, actual: unknown, expected: string) => {
    throw new FileError(`${source}: ${name} is ${quote(actual)}, expected ${expected}`);
  };
  if (typeof template !== "string") reject("template", template, "a string");
  const { bos_token, eos_token } = (isObject(tokens) ? tokens : {}) as Partial<ChatTokens>;
  if (typeof bos_token !== "string") reject("bos_token", bos_token, "a string");
  if (typeof eos_token !== "string") reject("eos_token", eos_token, "a string");
  if (!Array.isArray(stop) || !stop.every((id) => Number.isSafeInteger(id) && id >= 0))
    reject("eos_token_id", stop, "token ids");
  return value as ChatFormat;
}
