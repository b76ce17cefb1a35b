// The routes for looking into a model: its tokens, where it attends, what it expects next, what it
// writes, its tables.

import { noGrad } from "../autograd.ts";
import type { Device } from "../backend/device.ts";
import { attentionMaps } from "../gpt/attention-maps.ts";
import type { BigramLanguageModel } from "../gpt/bigram.ts";
import { generateWithLogits, tokenProbability } from "../gpt/generate.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { GPT } from "../gpt/model.ts";
import type { Embedding } from "../nn/index.ts";
import { arange, tensor } from "../ops/creation.ts";
import { slice } from "../ops/movement.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { plainPrompt, type Tokenizer } from "../tokenizers/tokenizer.ts";
import { type Loaded, Models } from "./model-cache.ts";
import type {
  GeneratedToken,
  GenerateRequest,
  LogitsRequest,
  ModelInfo,
  TextRequest,
  TokenizedText,
} from "./protocol.ts";
import { bytesOf, type Routes, sendJSON, sendNumbers, write } from "./routes.ts";
import type { Runs } from "./run-index.ts";
import { fieldsOf, Refusal } from "./validate.ts";

/** The most tokens that are looked at, and numbers in all attention maps of them: 128 MB. */
const [MOST_TOKENS, MOST_WEIGHTS] = [512, 2 ** 25];
/** The most rows of a table that are shown. */
const MOST_ROWS = 1024;

const text = { run: { kind: "string" }, text: { kind: "string" } } as const;
const position = { kind: "integer", min: 0, max: MOST_TOKENS - 1 } as const;
const generation = {
  tokens: { kind: "integer", min: 1, max: 10_000 },
  temperature: { kind: "number", min: 0, max: 100, optional: true },
  topK: { kind: "integer", min: 1, optional: true },
  topP: { kind: "number", min: 1e-9, max: 1, optional: true },
  seed: { kind: "integer", min: 0, max: 2 ** 32 - 1, optional: true },
} as const;

/** The models compute on `device`. */
export function lookRoutes(runs: Runs, device: Device): Routes {
  const models = new Models(runs, device);
  const row = (ids: number[]) => tensor(Int32Array.from(ids), { shape: [1, ids.length], device });
  return {
    "GET /runs/:run/model": ({ response, parts }) =>
      models.use(parts.run, (loaded) => sendJSON(response, describe(loaded))),

    "GET /runs/:run/table/:name": ({ response, parts }) =>
      models.use(parts.run, ({ model }) => {
        const table = tablesOf(model).get(parts.name);
        if (!table) throw new Refusal(404, `there is no table ${parts.name.slice(0, 80)}`);
        const { rows } = sizeOf(table, model);
        const read = () => noGrad(() => table.forward(arange(rows, { device })));
        sendNumbers(response, floatsOf(read));
      }),

    "POST /tokens": ({ response, body }) => {
      const question = fieldsOf<TextRequest>(body, text);
      return models.use(question.run, (loaded) => {
        const { ids, before } = seen(loaded, question.text);
        const tokens = ids.map((id) => ({ id, text: loaded.tokenizer.decode([id]) }));
        sendJSON(response, { tokens, before, step: loaded.step } satisfies TokenizedText);
      });
    },

    "POST /attention": ({ response, body }) => {
      const question = fieldsOf<TextRequest>(body, text);
      return models.use(question.run, async (loaded) => {
        const { model } = loaded;
        if (!(model instanceof GPT))
          throw new Refusal(400, "a bigram has no attention: it looks at one token alone");
        const { ids } = seen(loaded, question.text);
        if (ids.length === 0) throw new Refusal(400, "the text has no tokens");
        response.writeHead(200, { "content-type": "application/octet-stream" });
        for (const map of attentionMaps(model, row(ids))) {
          const bytes = bytesOf(floatsOf(() => map));
          map.free("it is sent");
          if (!(await write(response, bytes))) return;
        }
        response.end();
      });
    },

    "POST /logits": ({ response, body }) => {
      const question = fieldsOf<LogitsRequest>(body, { ...text, position });
      return models.use(question.run, (loaded) => {
        const { ids } = seen(loaded, question.text);
        const read = ids.slice(0, question.position + 1);
        if (read.length <= question.position)
          throw new Refusal(400, `position is ${question.position}, of ${ids.length} tokens`);
        sendNumbers(
          response,
          floatsOf(() => logitsAfter(loaded.model, row(read))),
        );
      });
    },

    "POST /generate": ({ response, body }) => {
      const question = fieldsOf<GenerateRequest>(body, { ...text, ...generation });
      const { run, text: beginning, tokens: maxNewTokens, ...sampling } = question;
      return models.use(run, async ({ model, tokenizer }) => {
        const ids = encode(tokenizer, beginning);
        const prompt = ids.length > 0 ? ids : plainPrompt(tokenizer);
        const decoder = tokenizer.decoder();
        for (const id of prompt) decoder.write(id);
        response.writeHead(200, {
          "content-type": "application/x-ndjson",
          "cache-control": "no-store",
        });
        let left = maxNewTokens;
        for await (const { id, logits } of generateWithLogits(model, {
          prompt,
          maxNewTokens,
          ...sampling,
        })) {
          const end = --left === 0 ? () => decoder.end() : () => "";
          const text = decoder.write(id) + end();
          const line: GeneratedToken = { id, text, probability: tokenProbability(logits, id) };
          if (!(await write(response, `${JSON.stringify(line)}\n`))) return;
        }
        response.end();
      });
    },
  };
}

function describe(loaded: Loaded): ModelInfo {
  const { model, tokenizer, step } = loaded;
  const { nLayer: layers, nHead: heads } =
    model instanceof GPT ? model.config : { nLayer: 0, nHead: 0 };
  const sizes = [...tablesOf(model)].map(([name, table]) => [name, sizeOf(table, model)]);
  return {
    step,
    layers,
    heads,
    window: windowOf(loaded),
    vocabulary: Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.decode([id])),
    tables: Object.fromEntries(sizes),
  };
}

/** The embeddings of a model by the names of its fields, floats or quantized. */
function tablesOf(model: LanguageModel): Map<string, Embedding> {
  const tables: Record<string, Embedding | null> =
    model instanceof GPT
      ? { wte: model.wte, wpe: model.wpe }
      : { token_embedding_table: (model as BigramLanguageModel).token_embedding_table };
  return new Map(Object.entries(tables).flatMap(([name, each]) => (each ? [[name, each]] : [])));
}

/** How many rows of a table are shown, of how many, and how long they are. */
function sizeOf({ weight }: Embedding, model: LanguageModel): ModelInfo["tables"][string] {
  const columns = model instanceof GPT ? model.config.nEmbd : model.config.vocabSize;
  const [total] = weight.shape;
  return { rows: Math.min(MOST_ROWS, total), columns, total };
}

/** The logits of what follows a text, (1, 1, V) for idx [1, T]. */
function logitsAfter(model: LanguageModel, idx: Tensor): Tensor {
  const last = (x: Tensor) => slice(x, { dim: 1, start: -1 });
  return noGrad(() =>
    model instanceof GPT
      ? model.lm_head.forward(last(model.hidden(idx)))
      : last(model.forward(idx).logits as Tensor),
  );
}

/** How many tokens of a text are looked at. */
function windowOf({ model }: Loaded): number {
  if (!(model instanceof GPT)) return MOST_TOKENS;
  const { blockSize, nLayer, nHead } = model.config;
  return Math.min(blockSize, MOST_TOKENS, Math.floor(Math.sqrt(MOST_WEIGHTS / (nLayer * nHead))));
}

/** The tokens of a text that are looked at, and how many are before them. */
function seen(loaded: Loaded, text: string): { ids: number[]; before: number } {
  const all = encode(loaded.tokenizer, text);
  const ids = all.slice(-windowOf(loaded));
  return { ids, before: all.length - ids.length };
}

/** What a tokenizer cannot take, such as a character that it lacks, is refused in its words. */
function encode(tokenizer: Tokenizer, text: string): number[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    throw new Refusal(400, (error as Error).message);
  }
}

function floatsOf(make: () => Tensor): Float32Array {
  return scope(() => make().data() as Float32Array);
}
