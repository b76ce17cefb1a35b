// Barriers, shuffles, votes, shared memory and atomics.

#include "block.h"
#include "check.h"
#include "report.h"

using namespace tinybard::cuda::emulator;

namespace {

const WarpOperation syncWarpOperation = {
    "__syncwarp",
    [](void* const*, unsigned mask) {
      if (checking) check::syncWarp(block->runningThread() / LANES, mask);
    },
    false};

} // namespace

void __syncthreads(SourceLine line) { EmulatorScope("__syncthreads")->barrier(line); }

void __syncwarp(unsigned mask, SourceLine line) {
  EmulatorScope("__syncwarp")->warpOperation(syncWarpOperation, mask, nullptr, line);
}

void __threadfence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (checking && block) {
    const EmulatorScope scope("__threadfence");
    check::fence();
  }
}

namespace tinybard::cuda::emulator {

void* sharedArray(const SharedDeclaration& declaration) {
  return EmulatorScope("a shared array")->sharedArray(declaration);
}
void* dynamicShared() { return EmulatorScope("shared memory")->dynamicShared(); }

namespace {

/** The operand of a lane. */
struct Operand {
  uint32_t x;
  uint32_t result;
  int from; // the source lane of a shuffle
};
Operand& toOperand(void* pointer) { return *static_cast<Operand*>(pointer); }

template <class F>
void forEachLane(unsigned mask, F f) {
  for (; mask != 0; mask &= mask - 1) f(__builtin_ctz(mask));
}

constexpr uint32_t UNDEFINED = 0xffe5ffe5; // NaN: the result from a lane outside of the mask

const WarpOperation shuffleOperation = {
    "a shuffle",
    [](void* const* operands, unsigned mask) {
      forEachLane(mask, [&](int lane) {
        Operand& own = toOperand(operands[lane]);
        own.result = mask >> own.from & 1 ? toOperand(operands[own.from]).x : UNDEFINED;
      });
    },
    true};

const WarpOperation voteOperation = {
    "a vote",
    [](void* const* operands, unsigned mask) {
      uint32_t votes = 0;
      forEachLane(mask, [&](int lane) { votes |= toOperand(operands[lane]).x << lane; });
      forEachLane(mask, [&](int lane) { toOperand(operands[lane]).result = votes; });
    },
    true};

} // namespace

uint32_t shuffle(ShuffleMode mode, unsigned mask, uint32_t x, int operand, int width,
                 SourceLine line) {
  const EmulatorScope scope("a shuffle");
  const int lane = scope->runningThread() % LANES;
  const int first = lane & ~(width - 1);
  const int last = first + width - 1;
  int from = lane;
  switch (mode) {
    case ShuffleMode::index: from = first + (operand & (width - 1)); break;
    case ShuffleMode::up: from = lane - operand; break;
    case ShuffleMode::down: from = lane + operand; break;
    case ShuffleMode::exclusiveOr: from = lane ^ operand; break;
  }
  if (from > last || (mode == ShuffleMode::up && from < first)) from = lane;
  Operand own = {x, 0, from};
  scope->warpOperation(shuffleOperation, mask, &own, line);
  return own.result;
}

unsigned vote(unsigned mask, bool condition, SourceLine line) {
  Operand own = {condition, 0, 0};
  EmulatorScope("a vote")->warpOperation(voteOperation, mask, &own, line);
  return own.result;
}

namespace {

/** Atomically replaces *at by f(*at); returns the old value. */
template <class T, class F>
T update(T* at, const void* code, F f) {
  if (checking) check::access(check::AccessKind::atomic, at, sizeof(T), code);
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
