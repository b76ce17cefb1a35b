// state.json of a checkpoint: the progress of a run, and the checksums of its inputs.

import { quote } from "../errors.ts";
import { FileError } from "../files/file-error.ts";
import { StepPlan } from "../train/step-plan.ts";

export interface RunState {
  step: number;
  /** The losses at this step, if they have been evaluated. */
  evaluation: { trainLoss: number; valLoss: number } | null;
  bestValLoss: number | null;
  elapsedSeconds: number;
  /** With a time budget: the part of it that steps took, not evaluations and checkpoints. */
  trainSeconds?: number;
  /** With a time budget: the estimated numbers of steps, StepPlan.toString(). */
  estimates?: string;
  /** The checksum of the training text: a run can only be resumed with the same text. */
  textSha256: string;
  /** The former location of the text, if it was moved to the one that config.json names. */
  formerData?: string;
  /** The checksum of the tokenizer's JSON; missing in runs of old versions. */
  tokenizerSha256?: string;
  /** The checksum of the base model's weights, for a run with LoRA adapters. */
  baseSha256?: string;
}

/** Returns the state of a run before its first step. */
export function initialState(textSha256: string, tokenizerSha256: string): RunState {
  return {
    step: 0,
    evaluation: null,
    bestValLoss: null,
    elapsedSeconds: 0,
    textSha256,
    tokenizerSha256,
  };
}

/** Checks the fields of a state.json. Throws a FileError if one has a wrong type or value. */
export function checkState(file: string, fields: Record<string, unknown>): RunState {
  const check = (name: string, isValid: boolean, expected: string) => {
    if (isValid) return;
    throw new FileError(`${file}: ${name} is ${quote(fields[name])}, expected ${expected}`);
  };
  const { step, evaluation, bestValLoss, elapsedSeconds, textSha256 } = fields;
  check("step", Number.isSafeInteger(step) && Number(step) >= 0, "a whole number from 0 up");
  check("evaluation", evaluation === null || isEvaluation(evaluation), "two losses or null");
  check("bestValLoss", isLoss(bestValLoss), "a number or null");
  check(
    "elapsedSeconds",
    Number.isFinite(elapsedSeconds) && Number(elapsedSeconds) >= 0,
    "a number from 0 up",
  );
  // an imported model has no text
  check("textSha256", textSha256 === "" || isSha256(textSha256), "a SHA-256 in hexadecimal");
  const { formerData } = fields;
  check("formerData", ["undefined", "string"].includes(typeof formerData), "a path");
  const { trainSeconds = 0, estimates = "" } = fields;
  check(
    "trainSeconds",
    Number.isFinite(trainSeconds) && Number(trainSeconds) >= 0,
    "a number from 0 up",
  );
  check("estimates", isPlan(estimates), "STEP:LEFT pairs of ascending steps");
  for (const name of ["tokenizerSha256", "baseSha256"]) {
    const value = fields[name];
    check(name, value === undefined || isSha256(value), "a SHA-256 in hexadecimal");
  }
  const state = fields as unknown as RunState;
  // JSON.stringify() writes NaN as null: an earlier version recorded an evaluation that diverged
  const isEvaluated =
    Number.isFinite(state.evaluation?.trainLoss) && Number.isFinite(state.evaluation?.valLoss);
  return { ...state, evaluation: isEvaluated ? state.evaluation : null };
}

function isEvaluation(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { trainLoss, valLoss } = value as { trainLoss?: unknown; valLoss?: unknown };
  return isLoss(trainLoss) && isLoss(valLoss);
}

function isPlan(value: unknown): boolean {
  try {
    return typeof value === "string" && new StepPlan(value) !== null;
  } catch {
    return false;
  }
}

function isLoss(value: unknown): boolean {
  return value === null || Number.isFinite(value);
}

function isSha256(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}
