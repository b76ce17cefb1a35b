// The pool on a memory of limited size: what is cached anywhere is freed before it throws.

import { OutOfMemoryError } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Allocator, type Buffer, hostMemory } from "#src/backend/buffers.js";
import type { DType } from "#src/backend/kernels.js";
import { Pool } from "#src/backend/pool.js";

const test = suite("pool");

/** Memory for 100 floats, in buffers that are used until they are freed. */
function limitedMemory(): Allocator {
  const memory = hostMemory();
  let used = 0;
  return {
    ...memory,
    allocate(dtype, length) {
      if (used + length > 100) return null;
      used += length;
      return memory.allocate(dtype, length);
    },
    free(buffer: Buffer) {
      used -= buffer.length;
    },
  };
}

test("a pool full of cached buffers is emptied before it throws", () => {
  const pool = new Pool(limitedMemory(), () => assert.unreachable());
  for (const buffer of [40, 60].map((length) => pool.take("f32", length))) pool.give("f32", buffer);
  assert.is(pool.freeBytes, 400);
  const all = pool.take("f32", 100);
  assert.equal([pool.freeBytes, pool.liveBytes], [0, 400]);
  pool.give("f32", all);
  assert.is(pool.take("f32", 100), all);
});

test("what a garbage collection frees is used before it throws", () => {
  const dropped: [DType, Buffer][] = []; // found by a sweep after a collection
  let isCollected = false;
  const memory: Allocator = {
    ...limitedMemory(),
    isHost: false,
    collectGarbage() {
      isCollected = true;
    },
    sweep: (isFinalizedOnly) => (isCollected && !isFinalizedOnly ? dropped.splice(0) : []),
  };
  const pool = new Pool(memory, () => assert.unreachable());
  dropped.push(["f32", pool.take("f32", 80)]);
  assert.is(pool.take("f32", 90).length, 90);
  assert.is(pool.liveBytes, 360);
});

test("the pools of a captured step and of its device empty each other", () => {
  const pool = new Pool(limitedMemory(), () => {});
  const step = pool.createStepPool();
  pool.give("f32", pool.take("f32", 90));
  const own = step.take("f32", 80); // frees the 90 of the device
  assert.is(pool.freeBytes, 0);
  step.give("f32", own);
  step.close();
  assert.is(pool.take("f32", 70).length, 70);
  assert.is(pool.liveBytes, 280);
});

test("what outlives a captured step belongs to the device's pool", () => {
  const pool = new Pool(limitedMemory(), () => {});
  const step = pool.createStepPool();
  const result = step.take("f32", 50);
  step.close();
  assert.is(pool.liveBytes, 200);
  step.give("f32", result);
  assert.equal([pool.liveBytes, pool.freeBytes], [0, 200]);
  assert.is(pool.take("f32", 50), result);
});

test("captured graphs are released last, and an error changes no count", () => {
  let releases = 0;
  const pool = new Pool(limitedMemory(), () => {
    releases++;
  });
  pool.take("f32", 60);
  try {
    pool.take("f32", 50);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, OutOfMemoryError);
  }
  assert.equal([releases, pool.liveBytes, pool.allocations], [1, 240, 1]);
  assert.is(pool.take("f32", 40).length, 40);
});

test.run();
