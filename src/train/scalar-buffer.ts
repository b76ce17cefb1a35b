// Scalars that stay on the device until the host reads all of them at once, such as the losses and
// gradient norms of many steps. This avoids a synchronization in each step.

import type { Device } from "../backend/device.ts";
import { zeros } from "../ops/creation.ts";
import { keep } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

export class ScalarBuffer {
  readonly #values: Tensor; // [capacity]
  #length = 0;

  constructor(capacity: number, device: Device) {
    this.#values = keep(zeros([capacity], { device }));
  }

  /** The number of scalars that have not been read. */
  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === this.#values.size;
  }

  /** Appends a tensor of one element; does not wait for the device. */
  push(x: Tensor): void {
    const values = this.#values;
    const start = this.#length++;
    values.device.kernels.sliceUpdate(x.floats, values.floats, 1, values.size, 1, start, 1);
    values.storage.bumpVersion();
  }

  /** Waits for the device, returns the scalars in the order of push(), and empties the buffer. */
  read(): number[] {
    const values = Array.from(this.#values.data().subarray(0, this.#length));
    this.clear();
    return values;
  }

  clear(): void {
    this.#length = 0;
  }
}
