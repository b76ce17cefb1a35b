// What a checkpoint stores of a run's training: the weights that were evaluated, and what is needed
// to continue. With an average of the weights, that is what model.safetensors holds; the weights
// themselves are then beside the state of the optimizer, as `weights.NAME`.

import type { TensorDict } from "../files/safetensors-format.ts";
import { adapterState, type Module, type StateDict } from "../nn/index.ts";
import type { AnyOptimizer, EMA } from "../optim/index.ts";

/** The parts of a run that training changes. */
export interface Trainable {
  model: Module;
  optimizer: AnyOptimizer;
  ema: EMA | null;
}

const AVERAGE = "averages.";
const WEIGHT = "weights.";
const UPDATES = "ema.t";

/** Returns the tensors of model.safetensors: of a model with adapters, only these. */
export function getSavedWeights(model: Module, ema: EMA | null = null): StateDict {
  const adapters = adapterState(model);
  const dict = Object.keys(adapters).length > 0 ? adapters : model.stateDict();
  for (const [key, x] of Object.entries(ema?.stateDict() ?? {}))
    if (key.startsWith(AVERAGE)) dict[key.slice(AVERAGE.length)] = x;
  return dict;
}

/** Returns the tensors of optimizer.safetensors. */
export function getOptimizerState({ model, optimizer, ema }: Trainable): StateDict {
  const dict = optimizer.stateDict();
  if (!ema) return dict;
  const weights = model.stateDict();
  for (const [key, x] of Object.entries(ema.stateDict())) {
    const name = key.slice(AVERAGE.length);
    if (key.startsWith(AVERAGE)) dict[WEIGHT + name] = weights[name];
    else dict[UPDATES] = x;
  }
  return dict;
}

/**
 * Loads the tensors of optimizer.safetensors, whose names and shapes have been checked. The model
 * has the weights of model.safetensors already.
 */
export function loadOptimizerState({ model, optimizer, ema }: Trainable, dict: TensorDict): void {
  const optimizerState: StateDict = Object.create(null);
  const weights: StateDict = Object.create(null);
  for (const [key, x] of Object.entries(dict)) {
    if (ema && key.startsWith(WEIGHT)) weights[key.slice(WEIGHT.length)] = x;
    else if (!ema || key !== UPDATES) optimizerState[key] = x;
  }
  optimizer.loadStateDict(optimizerState);
  if (!ema) return;
  const averages = model.stateDict();
  const emaState: StateDict = Object.create(null);
  for (const name of Object.keys(weights)) emaState[AVERAGE + name] = averages[name];
  emaState.t = dict[UPDATES];
  ema.loadStateDict(emaState);
  model.loadStateDict(weights, { strict: false });
}
