// Which charts there are, and what each draws of a run.

import type { RunInfo } from "../protocol.ts";
import type { Line } from "./chart.ts";
import type { Range } from "./downsample.ts";
import { integer, short } from "./format.ts";
import type { Numbers, Series } from "./series.ts";

/** A run that was chosen. */
export interface Shown {
  info: RunInfo;
  /** A CSS variable. */
  color: string;
  series: Series;
}

/** How all charts look at the runs. */
export interface View {
  x: "step" | "elapsedSeconds";
  isLog: boolean;
  /** The weight of what was before in the average of the loss. */
  smoothing: number;
  /** null: all there is. */
  range: Range | null;
  hidden: Set<Curve>;
}

export interface Curve {
  name: string;
  style: Pick<Line, "width" | "dash" | "dots" | "share">;
  /** Its colour where there is one run, if it is not the run's. */
  alone?: string;
  /** What is drawn; null where it is not known of a run. */
  data(run: Shown, view: View): Pick<Line, "x" | "y" | "factor"> | null;
}

export interface Figure {
  name: string;
  curves: Curve[];
  fromZero: boolean;
  format(y: number): string;
  /** Why there is nothing to be seen of a run. */
  reason?(info: RunInfo): string;
}

const thin = { width: 1.5 };
const four = (y: number) => y.toFixed(4);

type Logged = "loss" | "lr" | "gradNorm" | "tokensPerSecond";
const logged =
  (name: Logged) =>
  ({ series: { steps } }: Shown, { x }: View): { x: Numbers; y: Numbers } => ({
    x: steps[x],
    y: steps[name],
  });

const evaluated =
  (name: "trainLoss" | "valLoss") =>
  ({ series: { evaluations } }: Shown, { x }: View) => ({
    x: evaluations[x],
    y: evaluations[name],
  });

const loss: Figure = {
  name: "Loss",
  fromZero: false,
  format: four,
  curves: [
    { name: "batch", style: { width: 1, share: 0.35 }, data: logged("loss") },
    {
      name: "smoothed",
      style: { width: 2 },
      data: ({ series }, { x, smoothing }) => ({ x: series.steps[x], y: series.smooth(smoothing) }),
    },
    {
      name: "train",
      style: { width: 1.5, dash: [4, 4], dots: "hollow" },
      alone: "--green",
      data: evaluated("trainLoss"),
    },
    {
      name: "validation",
      style: { width: 1.5, dots: "full" },
      alone: "--orange",
      data: evaluated("valLoss"),
    },
  ],
};

const mfu: Curve = {
  name: "MFU",
  style: thin,
  data({ info: { flopsPerToken, peak }, series: { steps } }, { x }) {
    if (flopsPerToken === null || peak === null) return null;
    return { x: steps[x], y: steps.tokensPerSecond, factor: (100 * flopsPerToken) / peak };
  },
};

/** The loss, which is drawn large, and the others. */
export const figures: Figure[] = [
  loss,
  {
    name: "Learning rate",
    curves: [{ name: "learning rate", style: thin, data: logged("lr") }],
    fromZero: true,
    format: short,
  },
  {
    name: "Gradient norm",
    curves: [{ name: "gradient norm", style: thin, data: logged("gradNorm") }],
    fromZero: true,
    format: short,
  },
  {
    name: "Tokens/s",
    curves: [{ name: "tokens/s", style: thin, data: logged("tokensPerSecond") }],
    fromZero: true,
    format: integer,
  },
  {
    name: "MFU",
    curves: [mfu],
    fromZero: true,
    format: (y) => `${y.toFixed(1)} %`,
    reason: ({ flopsPerToken }) =>
      flopsPerToken === null
        ? "Not known: the model's size is read from a checkpoint, and there is none of it yet."
        : "Not known: it is a share of the device's speed, which is measured where a run trains.",
  },
];
