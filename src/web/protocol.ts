// The interface between the dashboard's server and its page. Bodies are JSON unless noted.
//
//   GET  /runs                      RunInfo[], newest first
//   GET  /events?after=A:120:7,B    server-sent events (Events): run A after a ReadPosition,
//                                   run B from the beginning
//   GET  /runs/NAME/metrics.csv     the rows of the run as CSV
//   GET  /runs/NAME/model           ModelInfo, read from the run's current checkpoint
//   GET  /runs/NAME/table/TABLE     binary f32, (rows, columns): one of ModelInfo.tables
//   POST /control                   Control, for the run that is being trained. 202: a Status
//                                   event confirms the action. 409: no run is being trained
//   POST /tokens                    TextRequest -> TokenizedText
//   POST /attention                 TextRequest -> binary f32, (layers, heads, T, T), where T is
//                                   the number of tokens in TokenizedText
//   POST /logits                    LogitsRequest -> binary f32, (V)
//   POST /generate                  GenerateRequest -> a line of JSON per GeneratedToken, streamed
//   POST /chat                      ChatRequest -> a line of JSON per ChatText, streamed
//   POST /graph                     GraphRequest -> Graph
//
// An error has a status of 400 or above and the body { error }.

import type { MetricsRow } from "../runs/metrics.ts";

export type { MetricsRow };

export interface RunInfo {
  /** The name of the run's folder. It identifies the run in requests. */
  name: string;
  config: Record<string, unknown>;
  /** True for the run that this process is training. Only this run accepts Control actions. */
  isLive: boolean;
  hasCheckpoint: boolean;
  parameters: number | null;
  flopsPerToken: number | null;
  /** The device's measured matmul throughput in FLOP/s: the denominator of MFU. */
  peak: number | null;
  /** The training data of the live run; null for others. */
  data: DataInfo | null;
}

/** The training data of a run. */
export interface DataInfo {
  name: string;
  /** The names of the training shards; none for a text. */
  shards: string[];
  /** The tokens that an epoch uses. */
  tokens: number;
  tokensPerStep: number;
  order: "random" | "epochs";
}

/** A position in a run's metrics.jsonl: everything before it has been read. */
export interface ReadPosition {
  /** The offset of the next row in bytes. */
  next: number;
  /** A checksum of the bytes just before `next`. It detects that the file was replaced. */
  mark: number;
}

/** The events of /events, by name. The id of each event is the `after` to reconnect with. */
export interface Events {
  /** New rows of a run, and the position after them. */
  rows: { run: string; rows: MetricsRow[] } & ReadPosition;
  /** The run was resumed from an earlier step. Discard its rows: all of them are sent again. */
  restart: { run: string };
  /** A new checkpoint was written. */
  snapshot: Snapshot & { run: string };
  /** The state of the run that is being trained has changed. */
  status: Status;
  /** The list of runs has changed: fetch /runs again. */
  runs: Record<string, never>;
}

export interface Status {
  run: string;
  state: "training" | "paused" | "stopped" | "ended";
  step: number;
  /** The number of steps; 0 while it is not known. */
  maxIters: number;
  /** The step of the last checkpoint that was saved on request. */
  saved: number | null;
}

/** A generated sample, and histograms of all parameters, from the checkpoint of one step. */
export interface Snapshot {
  step: number;
  sample: string;
  histograms: { name: string; weight: Histogram; gradient: Histogram | null }[];
}

/** The number of values in each of several equally wide bins between `low` and `high`. */
export interface Histogram {
  low: number;
  high: number;
  counts: number[];
}

export interface Control {
  action: "pause" | "resume" | "save" | "stop";
}

/** The properties of a run's model that the page needs to inspect it. */
export interface ModelInfo {
  /** The step of its checkpoint. */
  step: number;
  /** 0 for a bigram model, which has no attention. */
  layers: number;
  heads: number;
  /** The maximum number of tokens of a text that are inspected: the last ones. */
  window: number;
  /** The text of each token, by id. */
  vocabulary: string[];
  /** True if the model has a chat template. */
  hasChat: boolean;
  /** The embedding tables by name. Only the first `rows` of `total` rows are available. */
  tables: Record<string, { rows: number; columns: number; total: number }>;
}

export interface TextRequest {
  run: string;
  text: string;
}

/** The tokens of a text that are inspected: the last ones, after `before` others. */
export interface TokenizedText {
  tokens: { id: number; text: string }[];
  before: number;
  /** The step of the current checkpoint. It may be newer than in an earlier response. */
  step: number;
}

/** Requests the logits for the token after `position`, an index into TokenizedText.tokens. */
export interface LogitsRequest extends TextRequest {
  position: number;
}

export interface GenerateRequest extends TextRequest {
  tokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
}

/** Requests the answer to the last message, which is the user's. */
export interface ChatRequest extends Omit<GenerateRequest, "text"> {
  messages: { role: "system" | "user" | "assistant"; content: string }[];
}

/** Text that is added to an answer. */
export interface ChatText {
  text: string;
}

/** A generated token, and its probability according to the model, before any sampling option. */
export interface GeneratedToken {
  id: number;
  /** The text that it adds. Empty if it is the first part of a multi-byte character. */
  text: string;
  probability: number;
}

/** The lines of a tensor expression. See parser.ts for the language. */
export interface GraphRequest {
  code: string;
  /** Defaults to f64. */
  dtype?: "f32" | "f64";
  /** The direction in which values flow: left to right (LR, the default) or top to bottom (TB). */
  direction?: "LR" | "TB";
}

/** A number in JSON, which cannot represent NaN and the infinities. */
export type JSONNumber = number | "NaN" | "Infinity" | "-Infinity";

/** The computation graph of an expression with its layout, and the steps of backward(). */
export interface Graph {
  /** In topological order: inputs before results. */
  nodes: GraphNode[];
  /** From an input to a result. An input that an op uses twice has two edges. */
  edges: { from: number; to: number; points: [x: number, y: number][] }[];
  width: number;
  height: number;
  /** The sizes inside a node's box: a head with the names, then rows of values and gradients. */
  box: { head: number; row: number; cell: number; padding: number };
  steps: BackwardStep[];
}

/** The backward step of one node: it adds to the gradients of its inputs. */
export interface BackwardStep {
  node: number;
  /** The chain rule of the step, such as `dx += dy * w`. */
  notes: string[];
  /** The gradients that the step has changed, with their new values. */
  gradients: { node: number; values: JSONNumber[] }[];
}

export interface GraphNode {
  /** The name in notes: its variable, its value if it is a plain number, or v1, v2, ... */
  label: string;
  isVariable: boolean;
  /** The op that computed it. Null for a leaf. */
  op: string | null;
  /** The op's arguments other than tensors: `dim = 0`, or an exponent. */
  detail: string | null;
  requiresGrad: boolean;
  shape: number[];
  values: JSONNumber[];
  /** The number of rows and columns of values that fit in the box. */
  grid: [rows: number, columns: number];
  /** The center of its box. */
  x: number;
  y: number;
  width: number;
  height: number;
}
