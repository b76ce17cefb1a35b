// Named configurations of model and training. Each overrides some defaults of the training options.

/** Options shared by Karpathy's lecture models: constant learning rate, decay of all weights. */
const lecture = {
  bias: true,
  qkvBias: false,
  tieWeights: false,
  lmHeadBias: true,
  activation: "relu",
  scaleResidual: false,
  dropout: 0,
  weightDecay: 0.01,
  decay: "all",
  beta1: 0.9,
  beta2: 0.999,
  gradClip: 0,
  maxIters: 5000,
  evalInterval: 500,
  evalIters: 200,
} as const;

/** Options shared by nanoGPT's models: warmup and cosine decay, gradient clipping. */
const nanogpt = {
  bias: false,
  tieWeights: true,
  activation: "gelu",
  embeddingDropout: true,
  weightDecay: 0.1,
  decay: "matrices",
  beta1: 0.9,
  beta2: 0.99,
  gradClip: 1,
  learningRate: 1e-3,
  minLr: 1e-4,
  warmupIters: 100,
  evalInterval: 250,
} as const;

/** Training options by preset name. Each preset lists only what differs from the defaults. */
export const presets = {
  /** The bigram model: predicts each character from the one before. */
  bigram: {
    ...lecture,
    model: "bigram",
    blockSize: 8,
    batchSize: 32,
    learningRate: 1e-2,
    maxIters: 3000,
  },
  /** The default on cpu: tuned for the lowest validation loss in one minute on two cores. */
  laptop: {
    ...nanogpt,
    nEmbd: 64,
    nHead: 4,
    nLayer: 4,
    blockSize: 64,
    batchSize: 8,
    dropout: 0,
    learningRate: 6e-3,
    minLr: 0,
    maxIters: 10000,
    lrDecayIters: 10000,
    evalInterval: 1000,
    evalIters: 20,
  },
  /** The model in the notebook of Karpathy's lecture "Let's build GPT" (2023). */
  "lecture-0.2m": {
    ...lecture,
    nEmbd: 64,
    nHead: 4,
    nLayer: 4,
    blockSize: 32,
    batchSize: 16,
    learningRate: 1e-3,
  },
  "lecture-2.7m": {
    ...lecture,
    nEmbd: 192,
    nHead: 6,
    nLayer: 6,
    blockSize: 32,
    batchSize: 16,
    learningRate: 1e-3,
  },
  /** The lecture's final model, as trained by its gpt.py. */
  "lecture-10.8m": {
    ...lecture,
    nEmbd: 384,
    nHead: 6,
    nLayer: 6,
    blockSize: 256,
    batchSize: 64,
    learningRate: 3e-4,
    dropout: 0.2,
  },
  /** nanoGPT's Shakespeare run for machines without a GPU. */
  "nanogpt-cpu": {
    ...nanogpt,
    nEmbd: 128,
    nHead: 4,
    nLayer: 4,
    blockSize: 64,
    batchSize: 12,
    dropout: 0,
    maxIters: 2000,
    lrDecayIters: 2000,
    evalIters: 20,
  },
  /** nanoGPT's config/train_shakespeare_char.py. */
  "nanogpt-char": {
    ...nanogpt,
    nEmbd: 384,
    nHead: 6,
    nLayer: 6,
    blockSize: 256,
    batchSize: 64,
    dropout: 0.2,
    maxIters: 5000,
    lrDecayIters: 5000,
    evalIters: 200,
  },
  /** GPT-2 124M. */
  gpt2: {
    ...nanogpt,
    bias: true,
    activation: "gelu-tanh",
    tokenizer: "gpt2",
    nEmbd: 768,
    nHead: 12,
    nLayer: 12,
    blockSize: 1024,
    batchSize: 8,
    dropout: 0,
    learningRate: 6e-4,
    minLr: 6e-5,
    warmupIters: 2000,
    maxIters: 600000,
    lrDecayIters: 600000,
    beta2: 0.95,
    evalInterval: 1000,
    evalIters: 200,
  },
} as const;
