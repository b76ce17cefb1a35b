// The order of accesses. Time is counted for the running block, in barriers of any kind; a thread's
// time is that of its last one. Blocks run one after the other where accesses are checked.

#include "order.h"

#include <algorithm>

#include "report.h"

namespace tinybard::cuda::emulator {

void Order::beginLaunch() {
  first += (uint32_t)blocks.size();
  blocks.clear();
  counters.clear();
}

void Order::beginBlock(uint3 index, int count) {
  blocks.push_back(index);
  threads.assign(count, Thread{1, {}, 0, false, 0});
  now = 1;
  barrierTime = cleanTime = 0;
  observed.clear();
}

void Order::barrier() {
  if (++now >> 20 != 0) fail("it waits more often than a check can count: 2^20 times");
  barrierTime = now;
  int seen = 0;
  bool isClean = true;
  for (const Thread& thread : threads) {
    seen = std::max(seen, thread.seen);
    isClean = isClean && !thread.isDirty;
  }
  if (isClean) cleanTime = now;
  for (Thread& thread : threads) {
    thread.time = now;
    thread.seen = seen;
  }
}

void Order::syncWarp(int warp, unsigned mask) {
  if (++now >> 20 != 0) fail("it waits more often than a check can count: 2^20 times");
  Thread* const lanes = &threads[warp * LANES];
  uint32_t known[LANES] = {};
  int seen = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const Thread& thread = lanes[__builtin_ctz(rest)];
    for (int i = 0; i < LANES; i++) known[i] = std::max(known[i], thread.known[i]);
    seen = std::max(seen, thread.seen);
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) known[__builtin_ctz(rest)] = now;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    Thread& thread = lanes[__builtin_ctz(rest)];
    std::copy(known, known + LANES, thread.known);
    thread.time = now;
    thread.seen = seen;
  }
}

void Order::fence(int i) {
  threads[i].isDirty = false;
  threads[i].fenced = barrierTime;
  if (threads[i].seen == 1) threads[i].seen = 2;
}

void Order::write(int i) { threads[i].isDirty = true; }

void Order::atomic(int i, const void* at) {
  Thread& thread = threads[i];
  Counter& counter = counters[at];
  if (std::find(observed.begin(), observed.end(), &counter) == observed.end()) {
    observed.push_back(&counter);
    thread.seen = 1;
  }
  counter.releases[block()] = {std::max(cleanTime, thread.fenced), i,
                               thread.isDirty ? -1 : (int64_t)thread.time};
}

bool Order::isReleased(const Access& access, int i) const {
  const Thread& thread = threads[i];
  if (access.isAtomic && thread.seen > 0) return true; // atomics at one place are in one order
  if (thread.seen < 2) return false;
  for (const Counter* counter : observed) {
    const auto found = counter->releases.find(access.block);
    if (found == counter->releases.end()) continue;
    const Release& release = found->second;
    if (access.time < release.before) return true;
    if ((int)access.thread == release.thread && access.time <= release.until) return true;
  }
  return false;
}

std::string Order::nameOf(const Access& access) const {
  const unsigned i = access.thread, x = blockDim.x, y = blockDim.y;
  const std::string thread = "thread " + text(uint3{i % x, i / x % y, i / (x * y)});
  if (access.block == block()) return thread;
  return "block " + text(blocks[access.block - first]) + ", " + thread;
}

} // namespace tinybard::cuda::emulator
