// A tensor as text: its values, then what differs from a plain f32 tensor on the default device.

import type { Device, DType } from "../backend/device.ts";
import { isDefaultDevice } from "../backend/devices.ts";
import { formatShape, type Shape } from "../shape.ts";
import { formatValues } from "./format.ts";

/** The parts of a tensor that are printed. */
interface Printed {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  readonly isFreed: boolean;
  data(): ArrayLike<number>;
}

const PREFIX = "tensor(";
const WIDTH = 80;

/**
 * Formats a tensor: its values in PyTorch's layout, its shape unless it is a scalar, its dtype
 * unless that is f32, its device unless that is the default one, and `extra`. Never throws: if the
 * values cannot be read, the reason is in their place.
 */
export function formatTensor(x: Printed, extra: readonly string[]): string {
  const details = [...extra];
  if (!isDefaultDevice(x.device)) details.unshift(`device=${x.device}`);
  if (x.dtype !== "f32") details.unshift(`dtype=${x.dtype}`);
  if (x.shape.length > 0) details.unshift(`shape=${formatShape(x.shape)}`);
  let text = PREFIX + formatContent(x);
  for (const detail of details) {
    const column = text.length - text.lastIndexOf("\n") - 1;
    const fits = column + detail.length + 3 <= WIDTH;
    text += fits ? `, ${detail}` : `,\n${" ".repeat(PREFIX.length)}${detail}`;
  }
  return `${text})`;
}

function formatContent(x: Printed): string {
  if (x.device.isInsideStep && !x.isFreed) return "<values are not read inside a captured step>";
  try {
    return formatValues(x.data(), x.shape, x.dtype !== "i32", PREFIX.length);
  } catch (error) {
    return `<${error instanceof Error ? error.message : error}>`;
  }
}
