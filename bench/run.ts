// The benchmark of all kernels on all devices. usage: npm run bench -- --help

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { devices } from "tinybard";
import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { select } from "./all.ts";
import type { Result, Setting } from "./child.ts";
import { jsonLines, machine, readOptions, run, threads, warnIfBusy, writeJSON } from "./command.ts";
import { bars, heading, line, type Row, summary } from "./report.ts";

interface Options {
  device?: string;
  filter?: string;
  time: number;
  threads: number;
  dtype: string;
  json?: string;
  svg?: string;
}

const dtypes = ["f32", "tf32", "bf16"];
const names = devices().map(({ name }) => name);
const table: OptionTable = {
  device: { type: "string", help: "measure this device only", choices: names, value: "NAME" },
  filter: {
    type: "string",
    help: "only rows with this text in family, kernel, shape or model",
    value: "TEXT",
  },
  time: { type: "number", help: "milliseconds for a row", default: 200, min: 1, value: "MS" },
  threads,
  dtype: {
    type: "string",
    help: "the numbers' type on cuda",
    choices: dtypes,
    default: "f32",
    value: "NAME",
  },
  json: { type: "string", help: "write all figures to a file", value: "FILE" },
  svg: { type: "string", help: "draw how much faster than ts each kernel is", value: "FILE" },
};

await run(async () => {
  const { options } = readOptions<Options>("npm run bench -- [options]", table);
  const { device, filter = "", time, threads, dtype, json, svg } = options;
  if (device === "cuda") process.env.TINYBARD_BENCH_MODELS ??= "lecture-10.8m,gpt2";
  if (select(filter).length === 0) throw new UsageError(`bench: no row has the text ${filter}`);
  warnIfBusy();
  const settings: Setting[] = [];
  const results: Row[] = [];
  for (const name of device ? [device] : available()) {
    const child = fileURLToPath(new URL("child.js", import.meta.url));
    const type = name.startsWith("cuda") ? dtype : "f32";
    const words = [child, name, threads, time, type, filter].map(String);
    for await (const row of jsonLines<Setting | Result>(process.execPath, words)) {
      if ("kernel" in row) {
        results.push(withRatio(row, results));
        console.log(line(results[results.length - 1]));
      } else {
        settings.push(row);
        console.log(heading(row));
      }
    }
    console.log(summary(results.filter((row) => row.device === name)));
  }
  if (json) writeJSON(json, { ...machine, settings, results });
  if (svg) writeFileSync(svg, bars(results));
});

/**
 * The devices that work here, that which the others are compared with first. The emulator is no
 * measure of anything.
 */
function available(): string[] {
  const working = devices().filter((each) => each.available && each.name !== "cuda-emulator");
  return working.map(({ name }) => name).sort((a, b) => Number(b === "ts") - Number(a === "ts"));
}

/** How many times faster than the same row on ts. */
function withRatio(row: Result, others: Row[]): Row {
  const peer = others.find(
    ({ device, model, kernel, shape }) =>
      device === "ts" && model === row.model && kernel === row.kernel && shape === row.shape,
  );
  return { ...row, ratio: peer ? peer.ms / row.ms : null };
}
