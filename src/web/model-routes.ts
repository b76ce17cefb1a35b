// The routes that inspect a model: its tokens, attention maps, next-token logits, generated text
// and embedding tables.

import { noGrad } from "../autograd.ts";
import type { Device } from "../backend/device.ts";
import { attentionMaps } from "../gpt/attention-maps.ts";
import { generateWithLogits, tokenProbability } from "../gpt/generate.ts";
import { GPT } from "../gpt/model.ts";
import { arange, tensor } from "../ops/creation.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { defaultPrompt } from "../tokenizers/tokenizer.ts";
import { readChat, streamAnswer } from "./chat-route.ts";
import { ModelCache } from "./model-cache.ts";
import {
  computeNextLogits,
  describeModel,
  encode,
  encodeWindow,
  getTableSize,
  getTables,
  MAX_TOKENS,
} from "./model-inspection.ts";
import type {
  GeneratedToken,
  GenerateRequest,
  LogitsRequest,
  TextRequest,
  TokenizedText,
} from "./protocol.ts";
import { sendFloats, sendJSON, toBytes, writeChunk } from "./responses.ts";
import type { RouteContext, Routes } from "./router.ts";
import type { RunIndex } from "./run-index.ts";
import { checkFields, HttpError, type Schema, samplingSchema } from "./validate.ts";

const textSchema: Schema = {
  run: { type: "string" },
  text: { type: "string" },
};

const logitsSchema: Schema = {
  ...textSchema,
  position: { type: "integer", min: 0, max: MAX_TOKENS - 1 },
};

const generateSchema: Schema = { ...textSchema, ...samplingSchema };

/** Returns the routes that inspect models. The models run on `device`. */
export function createModelRoutes(runs: RunIndex, device: Device): Routes {
  const models = new ModelCache(runs, device);
  return {
    "GET /runs/:run/model": ({ response, params }) =>
      models.use(params.run, (loaded) =>
        sendJSON(response, describeModel(loaded, readChat(loaded) !== null)),
      ),
    "GET /runs/:run/table/:name": (context) => sendTable(models, context),
    "POST /tokens": (context) => sendTokens(models, context),
    "POST /attention": (context) => sendAttentionMaps(models, context),
    "POST /logits": (context) => sendLogits(models, context),
    "POST /generate": (context) => streamGeneration(models, context),
    "POST /chat": (context) => streamAnswer(models, context),
  };
}

function sendTable(models: ModelCache, { response, params }: RouteContext): Promise<void> {
  return models.use(params.run, ({ model }) => {
    const table = getTables(model).get(params.name);
    if (!table) throw new HttpError(404, `table not found: ${params.name.slice(0, 80)}`);
    const { rows } = getTableSize(table, model);
    // a forward pass, since the weights of a quantized table are packed
    const readTable = () => noGrad(() => table.forward(arange(rows, { device: models.device })));
    sendFloats(response, toFloats(readTable));
  });
}

function sendTokens(models: ModelCache, { response, body }: RouteContext): Promise<void> {
  const { run, text } = checkFields<TextRequest>(body, textSchema);
  return models.use(run, (loaded) => {
    const { ids, before } = encodeWindow(loaded, text);
    const tokens = ids.map((id) => ({ id, text: loaded.tokenizer.decode([id]) }));
    sendJSON(response, { tokens, before, step: loaded.step } satisfies TokenizedText);
  });
}

function sendAttentionMaps(models: ModelCache, { response, body }: RouteContext): Promise<void> {
  const { run, text } = checkFields<TextRequest>(body, textSchema);
  return models.use(run, async (loaded) => {
    const { model } = loaded;
    if (!(model instanceof GPT))
      throw new HttpError(400, "a bigram has no attention: it only sees one token");
    const { ids } = encodeWindow(loaded, text);
    if (ids.length === 0) throw new HttpError(400, "the text has no tokens");
    response.writeHead(200, { "content-type": "application/octet-stream" });
    // one layer at a time, since all maps together may be large
    for (const map of attentionMaps(model, toBatch(ids, models.device))) {
      const bytes = toBytes(toFloats(() => map));
      map.free("sent to the client");
      if (!(await writeChunk(response, bytes))) return;
    }
    response.end();
  });
}

function sendLogits(models: ModelCache, { response, body }: RouteContext): Promise<void> {
  const { run, text, position } = checkFields<LogitsRequest>(body, logitsSchema);
  return models.use(run, (loaded) => {
    const { ids } = encodeWindow(loaded, text);
    if (position >= ids.length)
      throw new HttpError(400, `position is ${position}, expected less than ${ids.length}`);
    const idx = toBatch(ids.slice(0, position + 1), models.device);
    const logits = toFloats(() => computeNextLogits(loaded.model, idx));
    sendFloats(response, logits);
  });
}

function streamGeneration(models: ModelCache, { response, body }: RouteContext): Promise<void> {
  const request = checkFields<GenerateRequest>(body, generateSchema);
  const { run, text: promptText, tokens: maxNewTokens, ...sampling } = request;
  return models.use(run, async ({ model, tokenizer }) => {
    const ids = encode(tokenizer, promptText);
    const prompt = ids.length > 0 ? ids : defaultPrompt(tokenizer);
    const decoder = tokenizer.decoder();
    for (const id of prompt) decoder.write(id);
    const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
    const generation = generateWithLogits(model, { prompt, maxNewTokens, ...sampling });
    let count = 0;
    for await (const { id, logits } of generation) {
      if (count === 0) response.writeHead(200, headers); // an error before that has a status
      count++;
      let text = decoder.write(id);
      if (count === maxNewTokens) text += decoder.end();
      const token: GeneratedToken = { id, text, probability: tokenProbability(logits, id) };
      if (!(await writeChunk(response, `${JSON.stringify(token)}\n`))) return;
    }
    response.end();
  });
}

/** Returns token ids as a batch of one sequence, (1, T). */
function toBatch(ids: number[], device: Device): Tensor {
  return tensor(Int32Array.from(ids), { shape: [1, ids.length], device });
}

/** Copies the values of a tensor, and frees the memory that computing it used. */
function toFloats(compute: () => Tensor): Float32Array {
  return scope(() => compute().data() as Float32Array);
}
