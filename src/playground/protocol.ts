// The interface between the page and the worker that trains. The page calls a function of the
// worker with a message { id, name, request }, and the answer is { id, result } or { id, error }.
// In between, the worker reports its progress by messages { event, data }.

import type { MetricsRow } from "../runs/metrics.ts";
import type { TokenizedText } from "../web/protocol.ts";
import type { Settings } from "./settings.ts";

/** The files of a run by their paths in its folder, such as last/model.safetensors. */
export type RunFiles = Map<string, Uint8Array<ArrayBuffer>>;

/** The two places for a run in the browser's storage. The page writes "current" by itself. */
export type Slot = "current" | "saved";

/** The functions of the worker. */
export interface Calls {
  /** Starts a new run. Training begins at once. */
  start(request: { settings: Settings; text: string; name: string }): RunInfo;
  /**
   * Opens a run from its files. `text` is the training text if the files contain none; without one
   * the model can be used, but not trained.
   */
  open(request: { files: RunFiles; text?: string; name?: string }): RunInfo;
  /**
   * Opens the run in the browser's storage; null if there is none, or if its settings are not those
   * of `link`, the fragment of a link.
   */
  restore(request: { slot: Slot; link?: string }): RunInfo | null;
  setPaused(request: { isPaused: boolean }): void;
  setLearningRate(request: { learningRate: number }): void;
  /** Raises the number of steps. */
  setMaxIters(request: { maxIters: number }): void;
  setSampling(request: SamplingSettings): void;
  /** Writes a sample now. Its text arrives by "sample" events. */
  sample(request: Record<string, never>): void;
  /** The tokens of a text, the attention maps and the logits after the last token. */
  inspect(request: { text: string }): Inspection;
  /** The logits after one of the tokens of that text. */
  logits(request: { text: string; position: number }): Float32Array;
  /** The files of the run in one zip archive. */
  exportRun(request: Record<string, never>): Uint8Array<ArrayBuffer>;
  /** Writes the run to the browser's storage. */
  save(request: { slot: Slot }): { step: number };
}

export interface SamplingSettings {
  prompt: string;
  temperature: number;
  /** True if samples are written regularly during training. */
  isLive: boolean;
}

/** The messages that the worker sends by itself. */
export interface Events {
  /** The worker is ready to be called. */
  ready: DeviceReport;
  progress: Progress;
  sample: SampleText;
  /** Training has stopped because of an error. */
  failure: { message: string };
}

/** The device that computes. */
export interface DeviceReport {
  device: string;
  threads: number;
  /** The reason why it is not a faster one; empty if it is the fastest. */
  reason: string;
}

export type RunState = "training" | "paused" | "finished" | "untrainable";

export interface Progress {
  state: RunState;
  step: number;
  maxIters: number;
  elapsedSeconds: number;
  tokensPerSecond: number;
  /** The metrics since the last report. */
  rows: MetricsRow[];
}

/** A sample, or as much of it as has been written. */
export interface SampleText {
  step: number;
  loss: number;
  prompt: string;
  text: string;
  isDone: boolean;
}

/** A run that has been started or opened. */
export interface RunInfo {
  settings: Settings;
  /** The name of the text. */
  name: string;
  parameters: number;
  vocabulary: string[];
  /** The number of characters of the text. */
  characters: number;
  trainTokens: number;
  layers: number;
  heads: number;
  blockSize: number;
  /** The metrics so far. */
  rows: MetricsRow[];
  progress: Progress;
  /** The text itself; null if the model came without one. */
  text: string | null;
}

export interface Inspection {
  tokens: TokenizedText["tokens"];
  before: number;
  step: number;
  /** (layers, heads, T, T) */
  weights: Float32Array;
  /** (V), after the last token. */
  logits: Float32Array;
}

/** A lesson to run: its code, and the files that earlier lessons have written. */
export interface LessonRequest {
  code: string;
  files: Map<string, string>;
}

/** The messages of a lesson that runs. */
export type LessonMessage =
  | { kind: "output"; text: string }
  | { kind: "file"; path: string; content: string }
  | { kind: "done"; seconds: number }
  | { kind: "error"; text: string };
