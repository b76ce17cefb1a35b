// tinybard runs: lists the runs in a folder with their steps and losses.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import { isFolder } from "../files/folder.ts";
import { formatCommand } from "../installation.ts";
import { findRuns, type RunSummary, summarizeRun } from "../runs/list.ts";
import type { Command } from "./command.ts";
import { RUNS } from "./run-folder.ts";

export const runsCommand: Command<{ folder: string; json?: boolean }> = {
  summary: "list runs with their steps and losses",
  options: {
    folder: { type: "string", help: "folder that contains the runs", default: RUNS, value: "DIR" },
    json: { type: "boolean", help: "print one JSON object per run instead of a table" },
  },
  operand: "folder",

  async run({ folder, json }) {
    if (folder !== RUNS && !isFolder(folder))
      throw new UsageError(`runs: ${folder} is not a folder`);
    if (existsSync(join(folder, "config.json")))
      throw new UsageError(`runs: ${folder} is a run, expected a folder that contains runs`);
    const summaries = findRuns(folder).flatMap((entry) => summarizeRun(entry) ?? []);
    if (json) {
      for (const summary of summaries) console.log(JSON.stringify(summary));
      return 0;
    }
    if (summaries.length === 0) {
      console.log(`no runs under ${folder}/; ${formatCommand("train")} starts one`);
      return 0;
    }
    for (const line of formatTable(summaries)) console.log(line);
    for (const { problem } of summaries) if (problem) console.error(`damaged: ${problem}`);
    return 0;
  },
};

const headings = ["run", "model", "step", "train", "val", "best val", "saved", "state"];

/** Formats one line per run, with columns as wide as their longest cell. */
function formatTable(summaries: RunSummary[]): string[] {
  const rows = [headings, ...summaries.map(toCells)];
  const widths = headings.map((_, i) => rows.reduce((max, row) => Math.max(max, row[i].length), 0));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
}

function toCells(run: RunSummary): string[] {
  const { name, model, step, maxIters, trainLoss, valLoss, bestValLoss, bestStep } = run;
  return [
    name.replace(/\p{C}/gu, "?"), // control characters could rewrite the terminal
    model,
    step === null ? "-" : maxIters === null ? String(step) : `${step}/${maxIters}`,
    formatLoss(trainLoss),
    formatLoss(valLoss),
    bestValLoss === null ? "-" : `${formatLoss(bestValLoss)} at ${bestStep}`,
    run.savedAt === null ? "-" : formatTime(new Date(run.savedAt)),
    run.state,
  ];
}

function formatLoss(loss: number | null): string {
  return typeof loss === "number" ? loss.toFixed(4) : "-";
}

/** Formats the local time as 2026-01-31 12:30. */
function formatTime(time: Date): string {
  const local = new Date(time.getTime() - 60_000 * time.getTimezoneOffset());
  return local.toISOString().slice(0, 16).replace("T", " ");
}
