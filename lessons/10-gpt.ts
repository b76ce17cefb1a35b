// Lesson 10: The whole model
//
// All parts are there: put together they are the small GPT of Karpathy's lecture "Let's build GPT"
// (2023). The library has the same model, made to be fast. Given the weights of the one, the other
// must say the same, and its gradients must be the same; then it is trained, and writes.

import { cat, GPT, loadCorpus, manualSeed, nn, presets, scope, type Tensor } from "tinybard";
import { LanguageModel } from "./06-head.ts";
import { NormalizedBlock } from "./09-residuals.ts";
import { bars } from "./bars.ts";
import { addLoss, lossesOf } from "./losses.ts";
import { show } from "./picture.ts";
import { batchOf, budget, fit, lossOn, parameterCount, tokensOf, write } from "./tiny.ts";

const { blockSize, nEmbd, nHead, nLayer, batchSize, ...lecture } = presets["lecture-0.2m"];
const { bias, qkvBias, tieWeights, lmHeadBias, activation, dropout } = lecture;
const sizes = { blockSize, nEmbd, nHead, nLayer };

/** The blocks of a model, and the normalization before its head. */
interface Body {
  readonly blocks: readonly NormalizedBlock[];
  readonly last: nn.LayerNorm;
}

/**
 * The weights of a model of these lessons under the names of the library's GPT, or what `of` gives
 * for each: its gradient. The queries of all heads lie one below the other, then keys, then values.
 */
export function translated(
  model: LanguageModel,
  { blocks, last }: Body,
  of: (w: Tensor) => Tensor,
): Record<string, Tensor> {
  const layer = (name: string, { weight, bias }: { weight: Tensor; bias: Tensor | null }) => [
    [`${name}.weight`, of(weight)] as const,
    ...(bias ? [[`${name}.bias`, of(bias)] as const] : []),
  ];
  return Object.fromEntries([
    ["wte.weight", of(model.token_embedding_table.weight)],
    ["wpe.weight", of(model.position_embedding_table.weight)],
    ...blocks.flatMap(({ ln1, sa, ln2, ffwd }, i) => {
      const kinds = (["query", "key", "value"] as const).flatMap((kind) =>
        sa.heads.map((head) => of(head[kind].weight)),
      ); // 3 nHead times (C / nHead, C)
      return [
        ...layer(`h.${i}.ln_1`, ln1),
        [`h.${i}.attn.c_attn.weight`, cat(kinds, { dim: 0 })] as const, // (3C, C)
        ...layer(`h.${i}.attn.c_proj`, sa.proj),
        ...layer(`h.${i}.ln_2`, ln2),
        ...layer(`h.${i}.mlp.c_fc`, ffwd.up),
        ...layer(`h.${i}.mlp.c_proj`, ffwd.down),
      ];
    }),
    ...layer("ln_f", last),
    ...layer("lm_head", model.lm_head),
  ]);
}

/** The largest difference of two tensors, as a share of the largest element. */
function apart(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item() / b.abs().max().item();
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const { vocabSize } = tokenizer;
  const blocks = Array.from({ length: nLayer }, () => new NormalizedBlock(nEmbd, nHead));
  const body = { blocks, last: new nn.LayerNorm(nEmbd) };
  const model = new LanguageModel(vocabSize, nEmbd, blockSize, ...blocks, body.last);
  const parameters = parameterCount(model);
  console.log(`${nLayer} blocks of ${nHead} heads, ${nEmbd} wide: ${parameters} parameters`);

  // The library's model, told to be the lecture's, and with our weights.
  const options = { bias, qkvBias, tieWeights, lmHeadBias, activation, dropout };
  const gpt = new GPT({ vocabSize, ...sizes, ...options });
  gpt.loadStateDict(translated(model, body, (w) => w.detach()));

  // The same batch for both: logits, loss, and the gradient of every weight.
  const [x, y] = batchOf(train, batchSize, blockSize);
  const [ours, theirs] = [model, gpt].map((each) => each.forward(x, y)) as ReturnType<
    LanguageModel["forward"]
  >[];
  const losses = [ours, theirs].map(({ loss }) => loss?.item() as number);
  const logits = apart(ours.logits, theirs.logits);
  for (const { loss } of [ours, theirs]) loss?.backward();
  const wanted = translated(model, body, (w) => w.grad as Tensor);
  const gradients = [...gpt.namedParameters()].map(([name, w]) =>
    apart(w.grad as Tensor, wanted[name]),
  );
  const gradient = Math.max(...gradients);
  console.log(`loss ${losses[0].toFixed(6)} and ${losses[1].toFixed(6)}`);
  console.log(`logits at most ${logits.toExponential(1)} apart, as a share of the largest`);
  console.log(`gradients of ${gradients.length} tensors: ${gradient.toExponential(1)}\n`);

  // So what does the library do otherwise? It goes over memory less often.
  console.log(`MultiHeadAttention  one matrix for all queries, keys and values, and one operation,
                    selfAttention, for scores, mask, softmax and average of all heads
FeedForward         relu is applied to a result of the first layer while it is at hand
x.add(...), ln      one operation, residualLayerNorm, adds and normalizes in one pass
the loss            linearCrossEntropy takes head and cross-entropy together, and keeps no logits`);

  // One training step of each by turns, the quickest of five, so that a busy moment hits both.
  const step = (each: LanguageModel | GPT) => {
    const start = performance.now();
    scope(() => {
      const { loss } =
        each instanceof GPT ? each.forward(x, y, { logits: false }) : each.forward(x, y);
      loss?.backward();
      return loss?.item(); // a GPU is waited for
    });
    return performance.now() - start;
  };
  const rounds = Array.from({ length: 5 }, () => [step(model), step(gpt)]);
  const [slow, fast] = [0, 1].map((i) => Math.min(...rounds.map((times) => times[i])));
  const times = [slow.toFixed(1), fast.toFixed(1), (slow / fast).toFixed(1)];
  console.log(`forward and back: ${times[0]} ms and ${times[1]} ms, ${times[2]} times as fast\n`);
  for (const w of gpt.parameters()) w.grad = null;

  // And now it is trained. The device ts would take minutes for that, and gets a taste of it only.
  const isSlow = x.device.name === "ts";
  const steps = isSlow ? 40 : budget.steps;
  const before = lossOn(gpt, val, 256);
  fit(gpt, train, { steps, batchSize, lr: 5e-3 });
  const loss = lossOn(gpt, val, 256);
  console.log(`${steps} steps: validation loss ${before.toFixed(3)} -> ${loss.toFixed(3)}`);
  const sample = write(gpt, tokenizer, isSlow ? 60 : 300);
  console.log(`it writes\n${sample}`);

  // The whole way. The last model has as many steps as the others, but is ten times as large, and
  // looks back twice as far.
  if (!isSlow) addLoss(name, "the whole model", { lesson: 10, loss, parameters });
  const way = lossesOf(name);
  const title = `validation losses on ${name}, the lessons so far`;
  const format = (value: number) => value.toFixed(3);
  if (Object.keys(way).length > 0) show(bars(way, { title, low: 1.5, format }), "lesson-10");

  console.log(`
Exercises
1. npm run train -- --preset lecture-0.2m trains this model as the lecture did. How far does it get?
2. Train this lesson's own model beside gpt from the same weights and batches. When do they part?
3. Which of the replacements saves the most time? Undo one at a time in src/gpt/model.ts.`);
  return { vocabSize, parameters, losses, logits, gradient, before, loss, steps, sample };
}
