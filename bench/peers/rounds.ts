// Compares tinybard with PyTorch in interleaved rounds, so that temporary slowdowns of the machine
// affect both.

import { median } from "../command.ts";

/** The measurement of a process. */
export interface Measurement {
  ms: number;
  peakMemoryMB?: number;
}

/** A way to run PyTorch. */
export interface TorchVariant {
  compile: "none" | "default";
  dtype: "f32" | "bf16";
}

/** A comparison: its name, how to measure both sides, and how to format a time. */
export interface Comparison {
  name: string;
  variants: readonly TorchVariant[];
  measureTinybard(): Promise<Measurement>;
  measureTorch(variant: TorchVariant): Promise<Measurement>;
  format(ms: number): string;
}

/** The measurements of a round; those of PyTorch by the name of the variant. */
interface Round {
  ours: Measurement;
  torch: Record<string, Measurement>;
}

/** The measurements of each round, and tinybard's speedup: by the medians, lowest and highest. */
export interface Outcome {
  name: string;
  rounds: Round[];
  ratio: number;
  lowest: number;
  highest: number;
}

/** After the first round, variants slower than the fastest one by this factor are left out. */
const MAX_SLOWDOWN = 1.1;

/** Runs the rounds. In each, the fastest variant of PyTorch counts. */
export async function compareInRounds(comparison: Comparison, count: number): Promise<Outcome> {
  const { name, format } = comparison;
  console.log(`\n${name}`);
  const rounds: Round[] = [];
  let variants = comparison.variants;
  for (let i = 1; i <= count; i++) {
    const round: Round = { ours: await comparison.measureTinybard(), torch: {} };
    for (const variant of variants) {
      const measured = await comparison.measureTorch(variant).catch(reportError);
      if (measured) round.torch[describe(variant)] = measured;
    }
    if (Object.keys(round.torch).length === 0) throw new Error(`${name}: PyTorch was not measured`);
    rounds.push(round);
    const torch = Object.entries(round.torch).map(([name, { ms }]) => `${name} ${format(ms)}`);
    const speedup = formatRatio(getTorchTime(round) / round.ours.ms);
    console.log(
      `round ${i}: tinybard ${format(round.ours.ms)}, torch ${torch.join(", ")}: ${speedup}`,
    );
    if (i === 1 && count > 1) variants = dropSlow(variants, round);
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

/** Returns the variants that may be the fastest in the next rounds. */
function dropSlow(variants: readonly TorchVariant[], round: Round): readonly TorchVariant[] {
  const limit = MAX_SLOWDOWN * getTorchTime(round);
  const isFast = (variant: TorchVariant) =>
    (round.torch[describe(variant)]?.ms ?? Infinity) <= limit;
  const slow = variants.filter((variant) => !isFast(variant)).map(describe);
  if (slow.length > 0) console.log(`slower, left out in the next rounds: ${slow.join(", ")}`);
  return variants.filter(isFast);
}

/** Formats `eager`, `compiled`, `eager bf16` or `compiled bf16`. */
function describe({ compile, dtype }: TorchVariant): string {
  return `${compile === "none" ? "eager" : "compiled"}${dtype === "bf16" ? " bf16" : ""}`;
}

/** Returns the time of the fastest variant. */
function getTorchTime({ torch }: Round): number {
  return Math.min(...Object.values(torch).map(({ ms }) => ms));
}

function reportError(error: Error): undefined {
  console.log(`PyTorch failed: ${error.message.split("\n").at(-1)}`);
}

function formatMemory({ ours, torch }: Round): string {
  if (!ours.peakMemoryMB) return "";
  const others = Object.entries(torch).map(
    ([name, { peakMemoryMB }]) => `${name} ${peakMemoryMB} MB`,
  );
  return `; memory ${ours.peakMemoryMB} MB, torch ${others.join(", ")}`;
}

function formatRatio(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}
