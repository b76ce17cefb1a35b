// The charts of the Curves view, and the curves that each of them plots for a run.

import type { RunInfo } from "../protocol.ts";
import type { Line } from "./chart.ts";
import type { Range } from "./downsample.ts";
import { formatInteger, formatShort } from "./format.ts";
import type { EvaluationMetric, Series, StepMetric } from "./series.ts";

/** A selected run. */
export interface DisplayedRun {
  info: RunInfo;
  /** A CSS variable. */
  color: string;
  series: Series;
}

/** The settings that all charts share. */
export interface ViewSettings {
  x: "step" | "elapsedSeconds";
  /** Plots the loss on a logarithmic axis. */
  isLog: boolean;
  /** The weight of the previous value in the moving average of the loss. */
  smoothing: number;
  /** The zoomed range of x, or null for all data. */
  range: Range | null;
  hidden: Set<Curve>;
}

export interface Curve {
  name: string;
  style: Pick<Line, "width" | "dash" | "markers" | "opacity">;
  /** The color when only one run is shown, if it is not the run's color. */
  singleRunColor?: string;
  /** Returns the points of a run, or null if they are not available. */
  getPoints(run: DisplayedRun, settings: ViewSettings): Pick<Line, "x" | "y" | "scale"> | null;
}

export interface ChartSpec {
  name: string;
  curves: Curve[];
  /** Starts the y axis at 0. */
  fromZero: boolean;
  /** Formats a y value for the legend. */
  format(y: number): string;
  /** Returns a message for a run whose data is not available. */
  explainMissing?(info: RunInfo): string;
}

const solid = { width: 1.5 };

function stepCurve(name: string, metric: StepMetric, style: Curve["style"]): Curve {
  return {
    name,
    style,
    getPoints: ({ series }, { x }) => ({ x: series.steps[x], y: series.steps[metric] }),
  };
}

function evaluationCurve(
  name: string,
  metric: EvaluationMetric,
  style: Curve["style"],
  singleRunColor: string,
): Curve {
  return {
    name,
    style,
    singleRunColor,
    getPoints: ({ series }, { x }) => ({ x: series.evaluations[x], y: series.evaluations[metric] }),
  };
}

const smoothedLoss: Curve = {
  name: "smoothed",
  style: { width: 2 },
  getPoints: ({ series }, { x, smoothing }) => ({
    x: series.steps[x],
    y: series.smooth(smoothing),
  }),
};

/** Model FLOPs utilization in percent: 100 * tokens/s * FLOPs/token / peak FLOP/s. */
const mfu: Curve = {
  name: "MFU",
  style: solid,
  getPoints({ info: { flopsPerToken, peak }, series: { steps } }, { x }) {
    if (flopsPerToken === null || peak === null) return null;
    return { x: steps[x], y: steps.tokensPerSecond, scale: (100 * flopsPerToken) / peak };
  },
};

/** All charts. The first one, of the loss, is larger than the others. */
export const chartSpecs: ChartSpec[] = [
  {
    name: "Loss",
    fromZero: false,
    format: (y) => y.toFixed(4),
    curves: [
      stepCurve("batch", "loss", { width: 1, opacity: 0.35 }),
      smoothedLoss,
      evaluationCurve(
        "train",
        "trainLoss",
        { width: 1.5, dash: [4, 4], markers: "hollow" },
        "--green",
      ),
      evaluationCurve("validation", "valLoss", { width: 1.5, markers: "filled" }, "--orange"),
    ],
  },
  {
    name: "Learning rate",
    curves: [stepCurve("learning rate", "lr", solid)],
    fromZero: true,
    format: formatShort,
  },
  {
    name: "Gradient norm",
    curves: [stepCurve("gradient norm", "gradNorm", solid)],
    fromZero: true,
    format: formatShort,
  },
  {
    name: "Tokens/s",
    curves: [stepCurve("tokens/s", "tokensPerSecond", solid)],
    fromZero: true,
    format: formatInteger,
  },
  {
    name: "MFU",
    curves: [mfu],
    fromZero: true,
    format: (y) => `${y.toFixed(1)}%`,
    explainMissing: ({ flopsPerToken }) =>
      flopsPerToken === null
        ? "Not available: the model size is read from a checkpoint, and there is none yet."
        : "Not available: the peak throughput is measured only on the machine that trains the run.",
  },
];
