// A program that runs in Node and, bundled, in a browser's page or worker: trains a GPT for a few
// steps, generates, and saves and loads weights and tokenizers. Its result is the same everywhere.

import {
  BPETokenizer,
  CharTokenizer,
  type DeviceName,
  device,
  GPT,
  generate,
  loadSafetensors,
  manualSeed,
  optim,
  saveSafetensors,
  setDefaultDevice,
  type Tensor,
  tensor,
  tokenizerFromJSON,
} from "tinybard";

const TEXT = "First Citizen: Before we proceed any further, hear me speak. All: Speak, speak! ";
const STEPS = 8;

export interface Result {
  /** The loss of each step. */
  losses: number[];
  /** A sample, and the ids of the text in a BPE vocabulary. */
  sample: string;
  ids: number[];
  /** The size of the saved weights in bytes, and the loss of a model that has loaded them. */
  bytes: number;
  reloaded: number;
  /** The error of a damaged file. */
  damage: string;
}

/** Runs the program on a device. */
export async function run(name: DeviceName | "auto"): Promise<Result> {
  setDefaultDevice(name);
  manualSeed(1);
  const tokenizer = CharTokenizer.train(TEXT);
  const { vocabSize } = tokenizer;
  const config = { vocabSize, blockSize: 16, nLayer: 2, nHead: 2, nEmbd: 16, dropout: 0.1 };
  const model = new GPT(config);
  const x = makeBatch(tokenizer.encode(TEXT), 0);
  const y = makeBatch(tokenizer.encode(TEXT), 1);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  const step = device(name).capture((x: Tensor, y: Tensor) => {
    const loss = model.forward(x, y).loss as Tensor;
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const losses = Array.from({ length: STEPS }, () => step(x, y).item());
  const prompt = tokenizer.encode("First");
  let sample = "";
  for await (const id of generate(model, { prompt, maxNewTokens: 16, seed: 1 }))
    sample += tokenizer.decode([id]);
  const blob = saveSafetensors(model.stateDict());
  const again = new GPT({ ...config, dropout: 0 });
  again.loadStateDict(await loadSafetensors(blob));
  const reloaded = (again.forward(x, y).loss as Tensor).item();
  const bpe = BPETokenizer.train(TEXT, { vocabSize: 270 });
  const ids = tokenizerFromJSON(JSON.parse(JSON.stringify(bpe))).encode(`${TEXT} naïve 🙂`);
  if (bpe.decode(ids) !== `${TEXT} naïve 🙂`) throw new Error("BPE does not round-trip");
  const damage = await loadSafetensors(blob.slice(0, blob.size - 1)).catch(String);
  return { losses, sample, ids, bytes: blob.size, reloaded, damage: String(damage) };
}

/** Returns 4 sequences of 16 ids, which start at multiples of 16 plus an offset. */
function makeBatch(ids: number[], offset: number): Tensor {
  return tensor(Int32Array.from(ids.slice(offset, offset + 64)), { shape: [4, 16] });
}
