// The figures at the end of a training run, in lines that a script can read.

import type { TrainResult } from "../train/loop.ts";

/** Returns a line for each figure that is known, such as `steps: 5000`. */
export function listFigures({ figures }: TrainResult): string[] {
  const { valLoss, bitsPerCharacter, bitsPerByte, seconds, steps, tokens } = figures;
  const { tokensPerSecond, mfu, peakMemory, peakDeviceMemory } = figures;
  const lines: [label: string, value: number | null, format: (x: number) => string][] = [
    ["val loss", valLoss, (x) => x.toFixed(4)],
    ["bits per character", bitsPerCharacter, (x) => x.toFixed(4)],
    ["bits per byte", bitsPerByte, (x) => x.toFixed(4)],
    ["training seconds", seconds, (x) => x.toFixed(3)],
    ["steps", steps, String],
    ["tokens", tokens, String],
    ["tokens per second", tokensPerSecond, (x) => x.toFixed(0)],
    ["MFU", mfu, (x) => `${(100 * x).toFixed(1)} %`],
    ["peak memory", peakMemory, formatBytes],
    ["peak device memory", peakDeviceMemory, formatBytes],
  ];
  return lines.flatMap(([label, value, format]) =>
    value === null ? [] : [`${label}: ${format(value)}`],
  );
}

/** Formats the figures as one line of JSON: memory in bytes, MFU from 0 to 1. */
export function formatFigures({ figures, stopped }: TrainResult): string {
  const { tokensPerSecond, mfu } = figures;
  return JSON.stringify({
    ...figures,
    tokensPerSecond: tokensPerSecond && Math.round(tokensPerSecond),
    mfu: mfu && Number(mfu.toFixed(4)),
    stopped,
  });
}

function formatBytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
