// The thread pool of native/cpu/parallel.cpp in WebAssembly. JavaScript starts the workers, each an
// instance of the module on the same memory. When the caller has finished its own part it takes
// those that no worker has claimed, and then it waits for the others: in a loop, in which it sleeps
// after a while, unless it is the main thread of a page, which may not.

#include "../cpu/parallel.h"

#include <atomic>

#include "export.h"
#include "heap.h"

namespace tinybard {
namespace {

constexpr int MAX_THREADS = 256;
constexpr int SPINS = 300000;  // about 100 microseconds, before a thread sleeps
constexpr int64_t NAP = 50000; // nanoseconds

std::atomic<bool> isRunning{false}; // there is one run at a time
std::atomic<int> threads{1};        // including the caller

// The current run. Written before `generation` is incremented, read after the increment is seen.
Body body;
void* context;
int64_t n;
int64_t step; // the length of a part
std::atomic<uint32_t> generation{0}; // the number of runs, modulo 2^32
std::atomic<uint32_t> claimed[MAX_THREADS]; // of each part: its last claimed generation
std::atomic<int> unfinished{0}; // parts
std::atomic<bool> isOutOfMemory{false}; // in some part; the caller throws after the run
std::atomic<int> sleepers{0};

thread_local bool isAlone = false;
thread_local bool maySleep = false; // of the calling thread
thread_local bool isCaller = false; // of the current run
thread_local bool isInsidePart = false;

/** One slot of scratch memory. */
struct Scratch {
  float* data;
  int64_t floats;
};
thread_local Scratch slots[4];

/** Claims part i of a run; false if another thread has, or if that run is over. */
bool claim(int i, uint32_t current) {
  uint32_t previous = current - 1;
  return claimed[i].compare_exchange_strong(previous, current, std::memory_order_acq_rel);
}

void runPart(int i, uint32_t current) {
  if (!claim(i, current)) return;
  isInsidePart = true;
  const int64_t begin = i * step;
  const int64_t end = begin + step < n ? begin + step : n;
  if (begin < end) body(context, begin, end);
  isInsidePart = false;
  unfinished.fetch_sub(1, std::memory_order_release);
}

/** Sleeps for a short time, because the processor may have other work than to run a worker. */
void nap(int left) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&unfinished), left, NAP);
}

void endRun() {
  int spins = 0;
  while (const int left = unfinished.load(std::memory_order_acquire)) {
    if (spins < SPINS) spins++;
    else if (maySleep) nap(left);
  }
  isCaller = false;
  isRunning.store(false, std::memory_order_release);
}

} // namespace

int threadCount() { return threads; }

EXPORT(setThreads) void setThreadCount(int count) {
  threads = count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : count;
  for (auto& part : claimed) part = generation.load();
}

EXPORT(workAlone) void workAlone() { isAlone = true; }

EXPORT(allowSleep) void allowSleep() { maySleep = true; }

float* scratch(int slot, int64_t floats) {
  Scratch& memory = slots[slot];
  if (!memory.data || memory.floats < floats) {
    release(memory.data);
    memory = {nullptr, 0}; // in case the allocation fails
    const double bytes = 4.0 * (double)floats;
    const bool fits = bytes < (double)MAX_ADDRESS;
    float* const data = fits ? static_cast<float*>(allocate((size_t)bytes)) : nullptr;
    if (!data) throwOutOfMemory(bytes);
    memory = {data, floats};
  }
  return memory.data;
}

void runParallel(int64_t length, int64_t grain, Body function, void* argument) {
  if (threads == 1 || isAlone || isRunning.exchange(true, std::memory_order_acquire)) {
    function(argument, 0, length);
    return;
  }
  isCaller = true;
  const int64_t grains = (length + grain - 1) / grain;
  const int count = threads;
  body = function;
  context = argument;
  n = length;
  step = (grains + count - 1) / count * grain;
  unfinished.store(count, std::memory_order_relaxed);
  const uint32_t current = generation.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (sleepers.load(std::memory_order_seq_cst) > 0)
    __builtin_wasm_memory_atomic_notify(reinterpret_cast<int*>(&generation), MAX_THREADS);
  for (int i = 0; i < count; i++) runPart(i, current);
  endRun();
  if (isOutOfMemory.exchange(false)) throwOutOfMemory(0);
}

/** Runs part i of all runs from now on, on a thread of its own. Does not return. */
EXPORT(serve) void serve(int i) {
  uint32_t seen = generation.load();
  for (;;) {
    for (int spins = 0; generation.load(std::memory_order_acquire) == seen; spins++) {
      if (spins < SPINS) continue;
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&generation), (int)seen, -1);
      sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = generation.load(std::memory_order_acquire);
    if (i < threads) runPart(i, seen);
  }
}

/**
 * Called after a JavaScript error has ended the calls of this thread: ends its part of the run, and
 * on the calling thread the run.
 */
EXPORT(recover) void recover() {
  if (isInsidePart) {
    isInsidePart = false;
    isOutOfMemory = true;
    unfinished.fetch_sub(1, std::memory_order_release);
  }
  if (!isCaller) return;
  for (int i = 0; i < threads; i++) {
    if (claim(i, generation)) unfinished.fetch_sub(1, std::memory_order_release);
  }
  endRun();
  isOutOfMemory = false;
}

} // namespace tinybard
