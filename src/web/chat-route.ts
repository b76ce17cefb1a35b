// The route of a chat: the answer to the last message of a conversation, streamed.

import { type ChatFormat, readChatFormat } from "../runs/chat-format.ts";
import { Conversation } from "../runs/conversation.ts";
import type { ChatMessage } from "../tokenizers/chat-template.ts";
import { TokenizerError } from "../tokenizers/tokenizer.ts";
import type { LoadedModel, ModelCache } from "./model-cache.ts";
import type { ChatRequest, ChatText } from "./protocol.ts";
import { writeChunk } from "./responses.ts";
import type { RouteContext } from "./router.ts";
import { checkFields, HttpError, type Schema, samplingSchema } from "./validate.ts";

const chatSchema: Schema = { run: { type: "string" }, ...samplingSchema };
const roles: readonly unknown[] = ["system", "user", "assistant"];

/** Reads the chat format of a model; null if it has none. Throws an HttpError if it is invalid. */
export function readChat({ folder }: LoadedModel): ChatFormat | null {
  try {
    return readChatFormat(folder);
  } catch (error) {
    throw new HttpError(409, (error as Error).message);
  }
}

/** Streams the answer of a run's model. An HttpError says what is wrong with the messages. */
export function streamAnswer(models: ModelCache, { response, body }: RouteContext): Promise<void> {
  const { messages, ...fields } = body;
  const { run, tokens, ...sampling } = checkFields<Omit<ChatRequest, "messages">>(
    fields,
    chatSchema,
  );
  const earlier = checkMessages(messages);
  const question = earlier.pop();
  if (question?.role !== "user") throw new HttpError(400, "the last message is not of the user");
  return models.use(run, async (loaded) => {
    const format = readChat(loaded);
    if (!format) throw new HttpError(400, "the model has no chat template");
    const conversation = new Conversation(loaded, format, earlier);
    const options = { maxNewTokens: tokens, ...sampling };
    const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
    try {
      for await (const text of conversation.answer(question.content, options)) {
        if (!response.headersSent) response.writeHead(200, headers); // an error before has a status
        const line: ChatText = { text };
        if (!(await writeChunk(response, `${JSON.stringify(line)}\n`))) return;
      }
    } catch (error) {
      if (response.headersSent || !(error instanceof TokenizerError || error instanceof RangeError))
        throw error;
      throw new HttpError(400, error.message); // such as an unknown character, or of the template
    }
    if (!response.headersSent) response.writeHead(200, headers);
    response.end();
  });
}

/** Returns the messages of a request. Throws an HttpError that names what is invalid. */
function checkMessages(messages: unknown): ChatMessage[] {
  if (!Array.isArray(messages)) throw new HttpError(400, "messages is not a list");
  for (const [i, message] of messages.entries()) {
    const { role, content } = (message ?? {}) as Record<string, unknown>;
    if (!roles.includes(role))
      throw new HttpError(400, `messages[${i}]: role is not ${roles.join(", ")}`);
    if (typeof content !== "string")
      throw new HttpError(400, `messages[${i}]: content is ${typeof content}, expected string`);
  }
  return messages.map(({ role, content }) => ({ role, content }));
}
