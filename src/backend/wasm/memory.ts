// The memory of the WebAssembly module: buffers are typed arrays on it.

import { arrays, type Buffer } from "../buffers.ts";
import { type ModuleExports, type SharedMemory, toPointer } from "./module.ts";

/** The memory that may be taken, beyond what was in use after a collection, before the next one. */
const MIN_GROWTH = 128 * 2 ** 20;

/** From this size on, the garbage collector is told how much memory a buffer holds. */
const MIN_VISIBLE_BYTES = 2 ** 16;

/**
 * From this size on, that takes no memory but a mapping, of which Linux allows a process 65,530:
 * V8 would crash with more.
 */
const MIN_MAPPED_BYTES = 2 ** 18;

/** ArrayBuffer in ES2024, which TypeScript declares only for that target. */
const ResizableBuffer = ArrayBuffer as unknown as new (
  bytes: number,
  options: { maxByteLength: number },
) => ArrayBuffer;

/** The place of a buffer in the memory. */
export interface Place {
  readonly dtype: keyof typeof arrays;
  readonly address: number;
  readonly length: number;
  readonly bytes: number;
  readonly buffer: WeakRef<Buffer>;
}

/** Allocates buffers in the module's memory, and frees those that JavaScript has dropped. */
export class ModuleMemory {
  readonly #native: ModuleExports;
  readonly #memory: SharedMemory;
  readonly #places = new WeakMap<object, Place>();
  /** The places that have not been freed. */
  readonly #used = new Set<Place>();
  readonly #collector: FinalizationRegistry<Place>;
  readonly #collectGarbage: () => void;
  /**
   * An untouched array buffer of the size of each large buffer. V8 counts it: else it would see
   * only small objects, and not collect them.
   */
  readonly #visible = new WeakMap<object, ArrayBuffer>();
  #whole: ArrayBuffer;
  #bytes = 0; // of all used places
  #limit = MIN_GROWTH; // of #bytes, before the next collection

  /** `collectGarbage` is called when much memory has been taken; then dropped buffers are freed. */
  constructor(native: ModuleExports, memory: SharedMemory, collectGarbage: () => void) {
    this.#native = native;
    this.#memory = memory;
    this.#whole = memory.buffer;
    this.#collectGarbage = collectGarbage;
    this.#collector = new FinalizationRegistry((place) => this.#release(place));
  }

  /** Returns an array buffer of the whole memory up to `end`, which may have grown. */
  upTo(end: number): ArrayBuffer {
    if (end > this.#whole.byteLength) {
      this.#memory.grow(toPointer(this.#native, 0)); // notices the growth by another thread
      this.#whole = this.#memory.buffer;
    }
    return this.#whole;
  }

  /** Returns a buffer with undefined content; null if the memory is full. */
  make(dtype: Place["dtype"], length: number): Buffer | null {
    const bytes = length * arrays[dtype].BYTES_PER_ELEMENT;
    if (this.#bytes + bytes > this.#limit) this.collect();
    const visible = makeVisible(bytes);
    const address = visible && this.#native.allocate(Math.max(bytes, 1));
    if (!address) return null;
    const buffer = new arrays[dtype](this.upTo(address + bytes), address, length);
    const place = { dtype, address, length, bytes, buffer: new WeakRef<Buffer>(buffer) };
    this.#places.set(buffer, place);
    this.#used.add(place);
    this.#bytes += bytes;
    this.#collector.register(buffer, place, buffer);
    if (visible.byteLength > 0) this.#visible.set(buffer, visible);
    return buffer;
  }

  /** Frees a buffer. Does nothing if it has been freed. */
  free(buffer: Buffer): void {
    const place = this.#places.get(buffer);
    if (!place) return;
    this.#places.delete(buffer);
    this.#visible.delete(buffer);
    this.#collector.unregister(buffer);
    this.#release(place);
  }

  /** Collects garbage, and frees the buffers that JavaScript has dropped. */
  collect(): void {
    this.#collectGarbage();
    for (const place of this.#used) {
      if (!place.buffer.deref()) this.#release(place);
    }
    this.#limit = this.#bytes + Math.max(this.#bytes, MIN_GROWTH);
  }

  #release(place: Place): void {
    if (!this.#used.delete(place)) return; // collect() has found it before the finalizer
    this.#bytes -= place.bytes;
    this.#native.free(place.address);
  }

  /** Returns the place of a buffer that make() returned and that has not been freed. */
  find(value: object): Place | undefined {
    return this.#places.get(value);
  }

  /** Returns the text at an address, which ends with a 0. */
  readText(address: number): string {
    const bytes = new Uint8Array(this.upTo(Number.POSITIVE_INFINITY));
    return new TextDecoder().decode(bytes.slice(address, bytes.indexOf(0, address)));
  }
}

/** Returns an array buffer that V8 counts; null if V8 allows no more memory. */
function makeVisible(bytes: number): ArrayBuffer | null {
  try {
    // A resizable one is mapped; the memory of others may have been touched, and is cleared.
    if (bytes >= MIN_MAPPED_BYTES) return new ResizableBuffer(bytes, { maxByteLength: bytes });
    return new ArrayBuffer(bytes >= MIN_VISIBLE_BYTES ? bytes : 0);
  } catch {
    return null;
  }
}
