// The values of a tensor as text, in PyTorch's layout: aligned columns, four decimal digits, and
// only the first and last three elements of each axis above 1000 elements.

import { numel, type Shape } from "../shape.ts";

/** The number of decimal digits. */
const DIGITS = 4;
/** The most elements that are printed in full. */
const MAX_ELEMENTS = 1000;
/** The number of elements at each end of an axis that is abridged. */
const EDGE = 3;
/** The length of a line. */
const WIDTH = 80;

/** The place of a part of a tensor in its values and on its line. */
interface Part {
  shape: Shape;
  offset: number;
  indent: number;
}

/**
 * Formats the values of a tensor. `indent` is the column of the first bracket. Floats are written
 * in scientific notation if the largest is over 1e8, the smallest below 1e-4, or their ratio over
 * 1000, zeros aside; those that are all whole numbers have no digits after the point.
 */
export function formatValues(
  values: ArrayLike<number>,
  shape: Shape,
  isFloat: boolean,
  indent: number,
): string {
  if (values.length === 0) return "[]";
  const isAbridged = values.length > MAX_ELEMENTS;
  const shown = collectShown(values, shape, isAbridged);
  const { format, width } = isFloat ? chooseFloatFormat(shown) : chooseIntegerFormat(shown);
  const element = (offset: number) => format(values[offset]).padStart(width);
  const perLine = Math.max(1, Math.floor((WIDTH - indent - shape.length + 1) / (width + 2)));

  const formatPart = ({ shape: [n, ...inner], offset, indent }: Part): string => {
    if (n === undefined) return element(offset);
    const size = numel(inner);
    const parts = indicesOf(n, isAbridged).map((i) => {
      if (i === null) return inner.length === 0 ? " ..." : "...";
      return formatPart({ shape: inner, offset: offset + i * size, indent: indent + 1 });
    });
    const margin = " ".repeat(indent + 1);
    if (inner.length > 0) return `[${parts.join(`,${"\n".repeat(inner.length)}${margin}`)}]`;
    const lines: string[] = [];
    for (let start = 0; start < parts.length; start += perLine)
      lines.push(parts.slice(start, start + perLine).join(", "));
    return `[${lines.join(`,\n${margin}`)}]`;
  };
  return formatPart({ shape, offset: 0, indent });
}

/** Returns the indices of an axis that are shown; null stands for those left out. */
function indicesOf(n: number, isAbridged: boolean): (number | null)[] {
  if (!isAbridged || n <= 2 * EDGE) return Array.from({ length: n }, (_, i) => i);
  const first = Array.from({ length: EDGE }, (_, i) => i);
  return [...first, null, ...first.map((i) => n - EDGE + i)];
}

/** Returns the values that are shown. */
function collectShown(values: ArrayLike<number>, shape: Shape, isAbridged: boolean): number[] {
  const collect = ([n, ...inner]: Shape, offset: number): number[] => {
    if (n === undefined) return [values[offset]];
    const size = numel(inner);
    return indicesOf(n, isAbridged).flatMap((i) =>
      i === null ? [] : collect(inner, offset + i * size),
    );
  };
  return collect(shape, 0);
}

/** The format of all values, and the width of a column. */
interface NumberFormat {
  format(value: number): string;
  width: number;
}

function chooseIntegerFormat(shown: readonly number[]): NumberFormat {
  return { format: String, width: Math.max(...shown.map((value) => String(value).length)) };
}

function chooseFloatFormat(shown: readonly number[]): NumberFormat {
  const deciding = shown.filter((value) => Number.isFinite(value) && value !== 0);
  const sizes = deciding.map(Math.abs);
  const largest = Math.max(...sizes);
  const smallest = Math.min(...sizes);
  const isScientific = largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4;
  const isWhole = deciding.every(Number.isInteger);
  const format = (value: number) => {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    const sign = Object.is(value, -0) ? "-" : "";
    if (deciding.length > 0 && isScientific) return sign + toScientific(value);
    if (isWhole) return `${sign}${value}.`;
    return sign + roundTiesToEven((digits) => value.toFixed(digits));
  };
  return { format, width: Math.max(1, ...deciding.map((value) => format(value).length)) };
}

/** Formats with an exponent of at least two digits: 1.5000e-07. */
function toScientific(value: number): string {
  const text = roundTiesToEven((digits) => value.toExponential(digits));
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

/**
 * Rounds to DIGITS. JavaScript rounds a value halfway between two numbers up, PyTorch to the one
 * with an even last digit. Sixty digits show whether a double is halfway.
 */
function roundTiesToEven(format: (digits: number) => string): string {
  const [mantissa, exponent] = format(60).split("e");
  const cut = mantissa.length - 60 + DIGITS;
  const isTie = /^50*$/.test(mantissa.slice(cut));
  const isEven = "02468".includes(mantissa[cut - 1]);
  if (!isTie || !isEven) return format(DIGITS);
  return mantissa.slice(0, cut) + (exponent === undefined ? "" : `e${exponent}`);
}
