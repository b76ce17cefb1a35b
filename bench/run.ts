// Benchmarks all kernels on all devices. usage: npm run bench -- --help

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { devices } from "tinybard";
import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { selectRows } from "./all.ts";
import type { Result, Setting } from "./child.ts";
import {
  machine,
  readJSONLines,
  readOptions,
  run,
  threads,
  warnIfBusy,
  writeJSON,
} from "./command.ts";
import { drawBars, formatHeading, formatRow, formatSummary, type Row } from "./report.ts";

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
  device: { type: "string", help: "only this device", choices: names, value: "NAME" },
  filter: {
    type: "string",
    help: "only rows whose family, kernel, shape or model contains this text",
    value: "TEXT",
  },
  time: { type: "number", help: "milliseconds per row", default: 200, min: 1, value: "MS" },
  threads,
  dtype: {
    type: "string",
    help: "dtype of floats on cuda",
    choices: dtypes,
    default: "f32",
    value: "NAME",
  },
  json: { type: "string", help: "write the results to a file", value: "FILE" },
  svg: { type: "string", help: "draw the speedup of each kernel over ts", value: "FILE" },
};

await run(async () => {
  const { options } = readOptions<Options>("npm run bench -- [options]", table);
  const { device, filter = "", time, threads, dtype, json, svg } = options;
  if (device === "cuda") process.env.TINYBARD_BENCH_MODELS ??= "lecture-10.8m,gpt2";
  if (selectRows(filter).length === 0)
    throw new UsageError(`bench: no row contains the text ${filter}`);
  warnIfBusy();
  const settings: Setting[] = [];
  const results: Row[] = [];
  for (const name of device ? [device] : getMeasuredDevices()) {
    const child = fileURLToPath(new URL("child.js", import.meta.url));
    const type = name.startsWith("cuda") ? dtype : "f32";
    const args = [child, name, threads, time, type, filter].map(String);
    for await (const row of readJSONLines<Setting | Result>(process.execPath, args)) {
      if ("kernel" in row) {
        results.push(withRatio(row, results));
        console.log(formatRow(results[results.length - 1]));
      } else {
        settings.push(row);
        console.log(formatHeading(row));
      }
    }
    console.log(formatSummary(results.filter((row) => row.device === name)));
  }
  if (json) writeJSON(json, { ...machine, settings, results });
  if (svg) writeFileSync(svg, drawBars(results));
});

/**
 * Returns the available devices, ts first because the others are compared with it. The speed of the
 * emulator is meaningless, so it is excluded.
 */
function getMeasuredDevices(): string[] {
  const names = devices()
    .filter(({ available, name }) => available && name !== "cuda-emulator")
    .map(({ name }) => name);
  return names.sort((a, b) => Number(b === "ts") - Number(a === "ts"));
}

/** Adds the speedup over the same row on ts. */
function withRatio(row: Result, others: Row[]): Row {
  const tsRow = others.find(
    ({ device, model, kernel, shape }) =>
      device === "ts" && model === row.model && kernel === row.kernel && shape === row.shape,
  );
  return { ...row, ratio: tsRow ? tsRow.ms / row.ms : null };
}
