#!/usr/bin/env node
// The program: a command and its options in, calls out. Exit codes: 0 done, 1 failed, 2 wrong
// usage, 130 and 143 interrupted after saving.

import { setThreads } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { findNearest, type OptionTable } from "../options.ts";
import { help, parse } from "./args.ts";
import { bench } from "./bench.ts";
import { dashboardCommand, dashboardTable } from "./dashboard.ts";
import { doctor } from "./doctor.ts";
import { evalTable, evaluateRun } from "./eval.ts";
import { exportModel, exportTable } from "./export.ts";
import { importModel, importTable } from "./import.ts";
import { quantizeCommand, quantizeTable } from "./quantize.ts";
import { sampleRun, sampleTable } from "./sample.ts";
import { trainCommand, trainCommandTable } from "./train.ts";
import { tune, tuneTable } from "./tune.ts";

/** What every command takes. */
const common: OptionTable = {
  threads: {
    type: "integer",
    help: "threads of the device cpu (default: one for each core)",
    min: 1,
    max: 256,
    value: "N",
  },
};

const commands = {
  train: { about: "train a model", table: trainCommandTable, run: trainCommand },
  sample: { about: "write text with a trained model", table: sampleTable, run: sampleRun },
  eval: { about: "measure a trained model's losses", table: evalTable, run: evaluateRun },
  import: { about: "take in a GPT-2 of Hugging Face", table: importTable, run: importModel },
  export: {
    about: "write a GPT-2 for Hugging Face, or a table of the losses",
    table: exportTable,
    run: exportModel,
  },
  quantize: {
    about: "make a trained model smaller: 8 or 4 bits for each weight",
    table: quantizeTable,
    run: quantizeCommand,
  },
  dashboard: {
    about: "show runs in the browser: curves, and the model from inside",
    table: dashboardTable,
    run: dashboardCommand,
  },
  tune: { about: "time the GPU's matrix products, once for all runs", table: tuneTable, run: tune },
  doctor: { about: "tell what devices there are, and what others need", table: {}, run: doctor },
};

async function main([name, ...words]: string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "help") {
    const all = { ...commands, bench: { about: "time every kernel, as npm run bench does" } };
    const lines = Object.entries(all).map(([each, { about }]) => `  ${each.padEnd(11)}${about}`);
    console.log(
      ["usage: tinybard COMMAND [options]; COMMAND --help tells its options", "", ...lines].join(
        "\n",
      ),
    );
    return name === undefined ? 2 : 0;
  }
  if (name === "bench") return bench(words); // a program with options of its own
  if (!Object.hasOwn(commands, name)) {
    const near = findNearest(name, Object.keys(commands));
    throw new UsageError(`unknown command ${name}${near ? `; did you mean ${near}?` : ""}`);
  }
  const { table: own, run } = commands[name as keyof typeof commands];
  const table = { ...own, ...common };
  if (words.includes("--help")) {
    console.log(help(`usage: tinybard ${name} [options]`, table));
    return 0;
  }
  const { threads, ...options } = parse(name, table, words, name === "import" ? "from" : undefined);
  if (typeof threads === "number") setThreads(threads);
  return run(options);
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader, such as head, has had enough
  throw error;
});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { message, stack } = error as Error;
  console.error(`tinybard: ${process.env.TINYBARD_DEBUG ? stack : message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
