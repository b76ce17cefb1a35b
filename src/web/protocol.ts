// What the dashboard's server and its page say to each other, in JSON unless said otherwise.
//
//   GET  /runs                      RunInfo[], the newest first
//   GET  /events?after=A:120:7,B    server-sent events: run A from that Place on, B from the
//                                   beginning; each event is one of those below
//   GET  /runs/NAME/metrics.csv     the rows as a table
//   GET  /runs/NAME/model           Model, as the run's checkpoint has it now
//   GET  /runs/NAME/table/TABLE     f32 in binary: (rows, columns) of one of Model.tables
//   POST /control                   Control, to the run that is being trained: 202, or 409 without
//                                   one; a status tells when it has been done
//   POST /tokens                    Text -> Look
//   POST /attention                 Text -> f32 in binary: (layers, heads, T, T), T tokens of Look
//   POST /logits                    LogitsQuestion -> f32 in binary: (V)
//   POST /generate                  GenerateQuestion -> lines of Written, as they are written
//   POST /graph                     GraphQuestion -> Graph
//
// What is refused has a status from 400 on and { error }.

import type { Row } from "../train/metrics.ts";

export type { Row };

export interface RunInfo {
  /** The name of its folder, by which it is asked for. */
  name: string;
  config: Record<string, unknown>;
  /** It is being trained by the process that shows the dashboard, and takes commands. */
  isLive: boolean;
  hasCheckpoint: boolean;
  parameters: number | null;
  flopsPerToken: number | null;
  /** Operations per second of the device in a product of matrices: what MFU is a share of. */
  peak: number | null;
}

/** How far a run's metrics.jsonl was read. */
export interface Place {
  /** Bytes. */
  next: number;
  /** A checksum of the last of them: a file with others there is not the one that was read. */
  mark: number;
}

/** The events of /events, by name; the id of each holds what /events is to be asked after. */
export interface Events {
  /** More rows of a run, and the place behind them. */
  rows: { run: string; rows: Row[] } & Place;
  /** The file of a run is not what was read, since it was resumed from before: all comes anew. */
  restart: { run: string };
  /** What a run was up to at an evaluation. */
  glimpse: Glimpse & { run: string };
  /** Where the run that is being trained stands. */
  status: Status;
  /** There are other runs than before: ask for /runs. */
  runs: Record<string, never>;
}

export interface Status {
  run: string;
  state: "training" | "paused" | "stopped" | "ended";
  step: number;
  maxIters: number;
  /** The step of the last checkpoint that was saved on request. */
  saved: number | null;
}

/** A sample, and how numbers spread in each parameter, seen from the checkpoint of a step. */
export interface Glimpse {
  step: number;
  sample: string;
  histograms: { name: string; weight: Histogram; gradient: Histogram | null }[];
}

/** How many values lie in each of equally wide bins between `low` and `high`. */
export interface Histogram {
  low: number;
  high: number;
  counts: number[];
}

export interface Control {
  action: "pause" | "resume" | "save" | "stop";
}

/** A model that can be looked into. */
export interface Model {
  /** The step of its checkpoint. */
  step: number;
  /** 0 for a bigram: no attention. */
  layers: number;
  heads: number;
  /** Of a text no more than its last so many tokens are looked at. */
  window: number;
  /** What each token stands for, by id. */
  vocabulary: string[];
  /** Its embeddings, by name; of a large one the first rows, of `total`. */
  tables: Record<string, { rows: number; columns: number; total: number }>;
}

export interface Text {
  run: string;
  text: string;
}

/** The tokens of a text that are looked at: the last ones, behind `before` others. */
export interface Look {
  tokens: { id: number; text: string }[];
  before: number;
  /** The step of the checkpoint that is looked into: it may be a newer one than before. */
  step: number;
}

/** The logits of what follows the token at a position, counted from the first that is looked at. */
export interface LogitsQuestion extends Text {
  position: number;
}

export interface GenerateQuestion extends Text {
  tokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
}

/** A token that was written, and the probability that the model itself had given it. */
export interface Written {
  id: number;
  /** What it adds to the text: nothing yet, if it is the first part of a character. */
  text: string;
  probability: number;
}

/** The lines of a small program; see syntax.ts for the language. */
export interface GraphQuestion {
  code: string;
  /** f64 if not given. */
  dtype?: "f32" | "f64";
  /** Which way values flow, to the right (LR, if not given) or down (TB). */
  direction?: "LR" | "TB";
}

/** JSON has no numbers that are not finite. */
export type Value = number | "NaN" | "Infinity" | "-Infinity";

/** The graph behind an expression, laid out, and backward() node by node. */
export interface Graph {
  /** Inputs before results. */
  nodes: GraphNode[];
  /** From an input to a result: twice, if it is used twice. */
  edges: { from: number; to: number; points: [x: number, y: number][] }[];
  width: number;
  height: number;
  /** How a node's box is divided: a head for names, then rows of values, then of gradients. */
  box: { head: number; row: number; cell: number; padding: number };
  steps: BackwardStep[];
}

/** The turn of one node in backward(): what it sends to its inputs. */
export interface BackwardStep {
  node: number;
  /** In words, such as `d x += d y * w`. */
  notes: string[];
  /** The gradients that have changed, as they are now. */
  gradients: { node: number; values: Value[] }[];
}

export interface GraphNode {
  /** What notes call it: its variable, its value if it is a plain number, or v1, v2... */
  label: string;
  isVariable: boolean;
  /** The op that made it; null for a leaf. */
  op: string | null;
  /** What the op was given beside its inputs: `dim = 0`, or an exponent. */
  detail: string | null;
  requiresGrad: boolean;
  shape: number[];
  values: Value[];
  /** How many rows and columns of its values there is room for in the box. */
  grid: [rows: number, columns: number];
  /** The middle of its box. */
  x: number;
  y: number;
  width: number;
  height: number;
}
