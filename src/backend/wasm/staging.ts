// The staging area: where JavaScript writes the arguments of a call, as native/wasm/staging.h reads
// them.

import type { Buffer } from "../buffers.ts";
import type { ModuleMemory } from "./memory.ts";
import type { ModuleExports } from "./module.ts";

/** The kinds of values, in the order of native/wasm/staging.h. */
const kinds = {
  number: 0,
  flag: 1,
  null: 2,
  list: 3,
  f32: 4,
  i32: 5,
  f64: 6,
  otherArray: 7,
  other: 8,
};

/** The numbers of a value: its kind, the value or address, and the length. */
const FIELDS = 3;
const MAX_ARGUMENTS = 64;
const MAX_LIST = 65536;

export class StagingArea {
  readonly #native: ModuleExports;
  readonly #memory: ModuleMemory;
  #values = new Float64Array();

  constructor(native: ModuleExports, memory: ModuleMemory) {
    this.#native = native;
    this.#memory = memory;
  }

  /** Writes the arguments of a call. Returns the buffers among them. */
  write(name: string, args: readonly unknown[]): Buffer[] {
    // Copied first: reading an element may run a getter, which may call another kernel.
    const copies = args
      .slice(0, MAX_ARGUMENTS)
      .map((x) => (Array.isArray(x) ? copyList(name, x) : x));
    const lists = copies.filter((x) => Array.isArray(x)) as unknown[][];
    const count = lists.reduce((sum, list) => sum + list.length, copies.length);
    this.#reserve(count);
    const used: Buffer[] = [];
    let next = copies.length;
    for (const [i, x] of copies.entries()) {
      if (typeof x === "number") this.#set(i, kinds.number, x);
      else if (typeof x === "boolean") this.#set(i, kinds.flag, x ? 1 : 0);
      else if (x === null) this.#set(i, kinds.null);
      else if (Array.isArray(x)) {
        const address = this.#values.byteOffset + FIELDS * Float64Array.BYTES_PER_ELEMENT * next;
        this.#set(i, kinds.list, address, x.length);
        for (const element of x) this.#setBuffer(next++, element, used);
      } else {
        this.#setBuffer(i, x, used);
      }
    }
    return used;
  }

  /** Makes room for `count` values. */
  #reserve(count: number): void {
    const length = FIELDS * Math.max(count, MAX_ARGUMENTS);
    if (length <= this.#values.length) return;
    const address = this.#native.stage(length / FIELDS);
    const end = address + length * Float64Array.BYTES_PER_ELEMENT;
    this.#values = new Float64Array(this.#memory.upTo(end), address, length);
  }

  #set(i: number, kind: number, value = 0, length = 0): void {
    this.#values[FIELDS * i] = kind;
    this.#values[FIELDS * i + 1] = value;
    this.#values[FIELDS * i + 2] = length;
  }

  /**
   * Writes where a buffer lies. Its own properties are not read: a program may have changed them.
   */
  #setBuffer(i: number, x: unknown, used: Buffer[]): void {
    const place = typeof x === "object" && x !== null ? this.#memory.find(x) : undefined;
    if (place) {
      this.#set(i, kinds[place.dtype], place.address, place.length);
      used.push(x as Buffer);
    } else {
      this.#set(i, isNumberArray(x) ? kinds.otherArray : kinds.other);
    }
  }
}

function copyList(name: string, list: unknown[]): unknown[] {
  const { length } = list;
  if (length > MAX_LIST)
    throw new TypeError(`${name}: a list has ${length} buffers, expected at most ${MAX_LIST}`);
  return Array.from({ length }, (_, i) => list[i]);
}

/** Returns true for the typed arrays that a device could have as buffers. */
function isNumberArray(x: unknown): boolean {
  return x instanceof Float32Array || x instanceof Int32Array || x instanceof Float64Array;
}
