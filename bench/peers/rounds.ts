// Compares tinybard with PyTorch in interleaved rounds, so that temporary slowdowns of the machine
// affect both.

import { median } from "../command.ts";

/** The measurement of a process. */
export interface Measurement {
  ms: number;
  peakMemoryMB?: number;
}

/** A comparison: its name, how to measure both sides, and how to format a time. */
export interface Comparison {
  name: string;
  measureTinybard(): Promise<Measurement>;
  measureTorch(compile: "none" | "default"): Promise<Measurement>;
  format(ms: number): string;
}

interface Round {
  ours: Measurement;
  eager: Measurement;
  compiled?: Measurement;
}

/** The measurements of each round, and tinybard's speedup: by the medians, lowest and highest. */
export interface Outcome {
  name: string;
  rounds: Round[];
  ratio: number;
  lowest: number;
  highest: number;
}

/** Runs the rounds. In each, the faster of PyTorch eager and compiled counts. */
export async function compareInRounds(comparison: Comparison, count: number): Promise<Outcome> {
  const { name, format } = comparison;
  console.log(`\n${name}`);
  const rounds: Outcome["rounds"] = [];
  let usesCompile = true;
  for (let i = 1; i <= count; i++) {
    const round: Round = {
      ours: await comparison.measureTinybard(),
      eager: await comparison.measureTorch("none"),
    };
    if (usesCompile) {
      round.compiled = await comparison.measureTorch("default").catch(reportCompileError);
    }
    rounds.push(round);
    const compiled = round.compiled ? `, compiled ${format(round.compiled.ms)}` : "";
    const times = `tinybard ${format(round.ours.ms)}, torch ${format(round.eager.ms)}${compiled}`;
    const speedup = formatRatio(getTorchTime(round) / round.ours.ms);
    console.log(`round ${i}: ${times}: ${speedup}`);
    if (usesCompile && getTorchTime(round) === round.eager.ms) {
      usesCompile = false; // compiling takes longer than measuring
      console.log("torch.compile is not faster: skipped in the next rounds");
    }
  }
  const ratios = rounds.map((round) => getTorchTime(round) / round.ours.ms);
  const ours = median(rounds.map((round) => round.ours.ms));
  const torch = median(rounds.map(getTorchTime));
  const ratio = torch / ours;
  const lowest = Math.min(...ratios);
  const highest = Math.max(...ratios);
  const spread = `${formatRatio(ratio)} (${formatRatio(lowest)} to ${formatRatio(highest)})`;
  const medians = `tinybard ${format(ours)}, torch ${format(torch)}`;
  console.log(`medians: ${medians}: ${spread}${formatMemory(rounds[0])}`);
  return { name, rounds, ratio, lowest, highest };
}

/** Returns the time of the faster of eager and compiled. */
function getTorchTime({ eager, compiled }: Round): number {
  return Math.min(eager.ms, compiled?.ms ?? Infinity);
}

function reportCompileError(error: Error): undefined {
  console.log(`torch.compile failed: ${error.message.split("\n").at(-1)}`);
}

function formatMemory({ ours, eager, compiled }: Round): string {
  if (!ours.peakMemoryMB) return "";
  const torch = compiled
    ? `${eager.peakMemoryMB} MB, compiled ${compiled.peakMemoryMB} MB`
    : `${eager.peakMemoryMB} MB`;
  return `; memory ${ours.peakMemoryMB} MB, torch ${torch}`;
}

function formatRatio(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}
