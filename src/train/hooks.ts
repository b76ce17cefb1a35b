// The callbacks of train().

import type { PrepareProgress } from "../data/prepare/prepare.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";

/** The progress of the evaluation at a training step. */
export interface EvaluationProgress {
  step: number;
  /** Batches so far, and of both splits. */
  done: number;
  total: number;
}

/**
 * Callbacks for train(). Those that return a boolean are called between steps; stop() also between
 * the batches of an evaluation, and once it has returned true it must continue to.
 */
export interface TrainHooks {
  /** While a text that is too large for the memory is encoded, or waited for, before start(). */
  preparing?(progress: PrepareProgress): void;
  /** Before the first step. */
  start?(run: Run): void | Promise<void>;
  /** After each batch of an evaluation. */
  evaluating?(progress: EvaluationProgress): void;
  /** After each evaluation. */
  evaluation?(losses: { step: number; trainLoss: number; valLoss: number }): void;
  /** After each step. */
  step?(row: MetricsRow): void;
  /** After each line of metrics.jsonl. */
  logged?(row: MetricsRow): void;
  /** Returning true saves and ends the run. */
  stop?(): boolean;
  /** Returning true saves now; saved() is called when that is done. */
  save?(): boolean;
  saved?(step: number): void;
  /** Training waits while this returns true. */
  paused?(): boolean;
  /**
   * A failure that training survives, such as a loss.svg that cannot be written. Without this hook,
   * the message is printed on stderr.
   */
  warning?(message: string): void;
}
