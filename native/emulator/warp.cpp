// What a kernel may ask of its block and its warp; and atomics.

#include "block.h"
#include "check.h"
#include "report.h"

using namespace tinybard::cuda::emulator;

namespace {

const Operation syncWarpOperation = {
    "__syncwarp",
    [](void* const*, unsigned mask) {
      if (checking) check::syncWarp(block->running() / LANES, mask);
    },
    false};

} // namespace

void __syncthreads(Here line) { Inside("__syncthreads")->barrier(line); }

void __syncwarp(unsigned mask, Here line) {
  Inside("__syncwarp")->gather(syncWarpOperation, mask, nullptr, line);
}

void __threadfence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (checking && block) {
    const Inside inside("__threadfence");
    check::fence();
  }
}

namespace tinybard::cuda::emulator {

void* sharedArray(const Site& site) { return Inside("a shared array")->shared(site); }
void* dynamicShared() { return Inside("shared memory")->dynamic(); }

namespace {

struct Offer {
  uint32_t x, result;
  int from; // a lane; not used by votes
};
Offer& offer(void* of) { return *static_cast<Offer*>(of); }

template <class F>
void forLanes(unsigned mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(__builtin_ctz(mask));
}

constexpr uint32_t NO_LANES_NUMBER = 0xffe5ffe5; // what comes from lanes outside of the mask

const Operation shuffleOperation = {
    "a shuffle",
    [](void* const* offers, unsigned mask) {
      forLanes(mask, [&](int lane) {
        Offer& mine = offer(offers[lane]);
        mine.result = mask >> mine.from & 1 ? offer(offers[mine.from]).x : NO_LANES_NUMBER;
      });
    },
    true};

const Operation voteOperation = {
    "a vote",
    [](void* const* offers, unsigned mask) {
      uint32_t votes = 0;
      forLanes(mask, [&](int lane) { votes |= offer(offers[lane]).x << lane; });
      forLanes(mask, [&](int lane) { offer(offers[lane]).result = votes; });
    },
    true};

} // namespace

uint32_t shuffle(Shuffle way, unsigned mask, uint32_t x, int where, int width, Here line) {
  const Inside inside("a shuffle");
  const int lane = inside->running() % LANES, first = lane & ~(width - 1), last = first + width - 1;
  int from = lane;
  switch (way) {
    case Shuffle::index: from = first + (where & (width - 1)); break;
    case Shuffle::up: from = lane - where; break;
    case Shuffle::down: from = lane + where; break;
    case Shuffle::exclusiveOr: from = lane ^ where; break;
  }
  if (from > last || (way == Shuffle::up && from < first)) from = lane;
  Offer mine = {x, 0, from};
  inside->gather(shuffleOperation, mask, &mine, line);
  return mine.result;
}

unsigned vote(unsigned mask, bool condition, Here line) {
  Offer mine = {condition, 0, 0};
  Inside("a vote")->gather(voteOperation, mask, &mine, line);
  return mine.result;
}

namespace {

/** Replaces *at by f of it, at once; gives what it was. */
template <class T, class F>
T update(T* at, const void* code, F f) {
  if (checking) check::access(check::How::atomic, at, sizeof(T), code);
  T old, next;
  __atomic_load(at, &old, __ATOMIC_SEQ_CST);
  do {
    next = f(old);
  } while (!__atomic_compare_exchange(at, &old, &next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return old;
}

} // namespace
} // namespace tinybard::cuda::emulator

#define CALLER __builtin_return_address(0)
#define ADD(T) \
  T atomicAdd(T* at, T x) { return update(at, CALLER, [=](T old) { return old + x; }); }
#define CAS(T)                                                                      \
  T atomicCAS(T* at, T expected, T x) {                                             \
    return update(at, CALLER, [=](T old) { return old == expected ? x : old; });    \
  }
#define MAX(T) \
  T atomicMax(T* at, T x) { return update(at, CALLER, [=](T old) { return old < x ? x : old; }); }
#define EXCHANGE(T) \
  T atomicExch(T* at, T x) { return update(at, CALLER, [=](T) { return x; }); }
ADD(int) ADD(unsigned) ADD(unsigned long long) ADD(float)
CAS(int) CAS(unsigned) CAS(unsigned long long)
MAX(int) MAX(unsigned) MAX(unsigned long long)
EXCHANGE(int) EXCHANGE(unsigned) EXCHANGE(unsigned long long) EXCHANGE(float)
