// All rows, by family, in the order of the kernel interface.

import { attention } from "./attention.bench.ts";
import { elementwise } from "./elementwise.bench.ts";
import { matmul } from "./matmul.bench.ts";
import { movement } from "./movement.bench.ts";
import { optimizer } from "./optimizer.bench.ts";
import { quantized } from "./quantized.bench.ts";
import { random } from "./random.bench.ts";
import type { Row } from "./row.ts";
import { rows } from "./rows.bench.ts";

const families = {
  elementwise,
  matmul,
  rows,
  movement,
  quantized,
  attention,
  optimizer,
  random,
};

/** Returns the rows whose family, kernel, shape and model, joined by spaces, contain the text. */
export function selectRows(text = ""): Row[] {
  return Object.entries(families).flatMap(([family, rows]) =>
    rows.filter(({ kernel, shape, model }) =>
      `${family} ${kernel} ${shape} ${model}`.includes(text),
    ),
  );
}
