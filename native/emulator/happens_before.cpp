// The happens-before relation. A block's time counts its barriers of any kind, and a thread's time
// is that of its last barrier. In checked mode blocks run one after another.

#include "happens_before.h"

#include <algorithm>

#include "report.h"

namespace tinybard::cuda::emulator {

void HappensBefore::beginLaunch() {
  first += (uint32_t)blocks.size();
  blocks.clear();
  counters.clear();
}

void HappensBefore::beginBlock(uint3 index, int count) {
  blocks.push_back(index);
  threads.assign(count, Thread{1, {}, 0, false, Acquire::none});
  now = 1;
  barrierTime = 0;
  cleanTime = 0;
  observed.clear();
}

void HappensBefore::barrier() {
  if (++now >> 20 != 0) fail("more than 2^20 barriers, which the checks cannot count");
  barrierTime = now;
  Acquire acquire = Acquire::none;
  bool isClean = true;
  for (const Thread& thread : threads) {
    acquire = std::max(acquire, thread.acquire);
    isClean = isClean && !thread.hasUnfencedWrites;
  }
  if (isClean) cleanTime = now;
  for (Thread& thread : threads) {
    thread.time = now;
    thread.acquire = acquire;
  }
}

void HappensBefore::syncWarp(int warp, unsigned mask) {
  if (++now >> 20 != 0) fail("more than 2^20 barriers, which the checks cannot count");
  Thread* const lanes = &threads[warp * LANES];
  uint32_t known[LANES] = {};
  Acquire acquire = Acquire::none;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const Thread& thread = lanes[__builtin_ctz(rest)];
    for (int i = 0; i < LANES; i++) known[i] = std::max(known[i], thread.known[i]);
    acquire = std::max(acquire, thread.acquire);
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) known[__builtin_ctz(rest)] = now;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    Thread& thread = lanes[__builtin_ctz(rest)];
    std::copy(known, known + LANES, thread.known);
    thread.time = now;
    thread.acquire = acquire;
  }
}

void HappensBefore::fence(int i) {
  threads[i].hasUnfencedWrites = false;
  threads[i].fenced = barrierTime;
  if (threads[i].acquire == Acquire::counted) threads[i].acquire = Acquire::fenced;
}

void HappensBefore::write(int i) { threads[i].hasUnfencedWrites = true; }

void HappensBefore::atomic(int i, const void* at) {
  Thread& thread = threads[i];
  Counter& counter = counters[at];
  if (std::find(observed.begin(), observed.end(), &counter) == observed.end()) {
    observed.push_back(&counter);
    thread.acquire = Acquire::counted;
  }
  counter.releases[block()] = {std::max(cleanTime, thread.fenced), i,
                               thread.hasUnfencedWrites ? -1 : (int64_t)thread.time};
}

bool HappensBefore::isReleased(const Access& access, int i) const {
  const Thread& thread = threads[i];
  // atomics on the same location are ordered
  if (access.isAtomic && thread.acquire != Acquire::none) return true;
  if (thread.acquire != Acquire::fenced) return false;
  for (const Counter* counter : observed) {
    const auto found = counter->releases.find(access.block);
    if (found == counter->releases.end()) continue;
    const Release& release = found->second;
    if (access.time < release.before) return true;
    if ((int)access.thread == release.thread && access.time <= release.until) return true;
  }
  return false;
}

std::string HappensBefore::nameOf(const Access& access) const {
  const unsigned i = access.thread;
  const unsigned x = blockDim.x;
  const unsigned y = blockDim.y;
  const std::string thread = "thread " + toString(uint3{i % x, i / x % y, i / (x * y)});
  if (access.block == block()) return thread;
  return "block " + toString(blocks[access.block - first]) + ", " + thread;
}

} // namespace tinybard::cuda::emulator
