// A comparison with PyTorch in rounds, by turns: whatever slows the machine down for a while slows
// both sides down.

import { median } from "../command.ts";

/** What a process has measured. */
export interface Figure {
  ms: number;
  peakMemoryMB?: number;
}

export interface Contest {
  name: string;
  ours(): Promise<Figure>;
  torch(compile: "none" | "default"): Promise<Figure>;
  show(ms: number): string;
}

/** Each round's figures; how many times faster we are: by the medians, and in single rounds. */
export interface Outcome {
  name: string;
  rounds: { ours: Figure; eager: Figure; compiled?: Figure }[];
  ratio: number;
  lowest: number;
  highest: number;
}

/** Runs the rounds. PyTorch counts with the faster of eager and compiled in each of them. */
export async function duel({ name, ours, torch, show }: Contest, rounds: number): Promise<Outcome> {
  console.log(`\n${name}`);
  const done: Outcome["rounds"] = [];
  let compiles = true;
  for (let i = 1; i <= rounds; i++) {
    const round: Outcome["rounds"][0] = { ours: await ours(), eager: await torch("none") };
    if (compiles) round.compiled = await torch("default").catch(failed);
    done.push(round);
    const compiled = round.compiled ? `, compiled ${show(round.compiled.ms)}` : "";
    const both = `tinybard ${show(round.ours.ms)}, torch ${show(round.eager.ms)}${compiled}`;
    console.log(`round ${i}: ${both}: ${times(best(round) / round.ours.ms)}`);
    if (compiles && best(round) === round.eager.ms) {
      compiles = false; // compiling takes longer than measuring
      console.log("compiled is no faster: it is not tried again");
    }
  }
  const ratios = done.map((round) => best(round) / round.ours.ms);
  const [own, other] = [median(done.map((round) => round.ours.ms)), median(done.map(best))];
  const [lowest, highest] = [Math.min(...ratios), Math.max(...ratios)];
  const spread = `${times(other / own)} (${times(lowest)} to ${times(highest)})`;
  console.log(`medians: tinybard ${show(own)}, torch ${show(other)}: ${spread}${memory(done)}`);
  return { name, rounds: done, ratio: other / own, lowest, highest };
}

function best({ eager, compiled }: Outcome["rounds"][0]): number {
  return Math.min(eager.ms, compiled?.ms ?? Infinity);
}

function failed(error: Error): undefined {
  console.log(`compiling failed: ${error.message.split("\n").at(-1)}`);
}

function memory(rounds: Outcome["rounds"]): string {
  const [{ ours, eager, compiled }] = rounds;
  if (!ours.peakMemoryMB) return "";
  const most = (figure?: Figure) => (figure ? `${figure.peakMemoryMB} MB` : "");
  const other = [most(eager), most(compiled)].filter(Boolean).join(", compiled ");
  return `; memory ${most(ours)}, torch ${other}`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}
