// The thread pool. An idle worker first spins for a short time, because the next kernel usually
// follows within microseconds, and then sleeps: waking it costs 5 to 50 microseconds. The caller
// never waits for a worker to wake up: when it has finished its own part, it also takes the parts
// that no worker has claimed. So a core that is busy with another program makes a kernel slower,
// but does not stall it for milliseconds.

#include "parallel.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace tinybard {
namespace {

constexpr auto SPIN_TIME = std::chrono::microseconds(100);

/** Tells the processor that the thread is in a spin loop. */
inline void cpuRelax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

struct Pool {
  std::mutex runMutex; // held during a run: there is one at a time
  std::vector<std::thread> workers;
  std::atomic<int> count{1}; // threads, including the caller

  // The current run. Written before `generation` is incremented, read after the increment is seen.
  Body body;
  void* context;
  int64_t n;
  int64_t step; // the length of a part
  std::atomic<uint32_t> generation{0}; // the number of runs, modulo 2^32
  std::unique_ptr<std::atomic<uint32_t>[]> claimed; // of each part: its last claimed generation
  std::atomic<int> unfinished{0}; // parts
  std::atomic<bool> isOutOfMemory{false}; // in some part; the caller throws after the run
  std::atomic<bool> isStopping{false};

  std::mutex sleepMutex;
  std::condition_variable wake;
  std::atomic<int> sleepers{0};

  /**
   * Processes part i of a run, unless another thread has claimed it. The compare-exchange succeeds
   * only from the previous generation, so a thread that is late, perhaps in a later run, never
   * touches that run's parts.
   */
  void runPart(int i, uint32_t current) {
    uint32_t previous = current - 1;
    if (!claimed[i].compare_exchange_strong(previous, current, std::memory_order_acq_rel)) return;
    const int64_t begin = i * step;
    const int64_t end = begin + step < n ? begin + step : n;
    try {
      if (begin < end) body(context, begin, end);
    } catch (const std::bad_alloc&) {
      isOutOfMemory = true;
    }
    unfinished.fetch_sub(1, std::memory_order_release);
  }

  /** Starts the next generation and wakes all sleeping workers. */
  uint32_t publish() {
    const uint32_t current = generation.fetch_add(1, std::memory_order_seq_cst) + 1;
    if (sleepers.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard<std::mutex> lock(sleepMutex);
      wake.notify_all();
    }
    return current;
  }

  /** Waits for a generation after `seen`; returns the latest. */
  uint32_t waitForRun(uint32_t seen) {
    const auto isNew = [&] { return generation.load(std::memory_order_acquire) != seen; };
    const auto start = std::chrono::steady_clock::now();
    for (int i = 1; !isNew(); i++) {
      cpuRelax();
      if (i % 64 != 0 || std::chrono::steady_clock::now() - start < SPIN_TIME) continue;
      std::unique_lock<std::mutex> lock(sleepMutex);
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      wake.wait(lock, [&] { return generation.load(std::memory_order_seq_cst) != seen; });
      sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
    return generation.load(std::memory_order_acquire);
  }

  /** Waits until all parts of the run are finished. */
  void waitForParts() {
    for (int i = 1; unfinished.load(std::memory_order_acquire) > 0; i++) {
      cpuRelax();
      if (i % 4096 == 0) std::this_thread::yield(); // the worker may need this core
    }
  }

  void start() {
    if (!workers.empty()) return;
    isStopping = false;
    const uint32_t current = generation.load();
    claimed = std::make_unique<std::atomic<uint32_t>[]>((size_t)count);
    for (int i = 0; i < count; i++) claimed[i] = current;
    try {
      for (int i = 1; i < count; i++) {
        workers.emplace_back([this, i, seen = current]() mutable {
          for (;;) {
            seen = waitForRun(seen);
            if (isStopping) return;
            runPart(i, seen);
          }
        });
      }
    } catch (const std::system_error&) {
      count = (int)workers.size() + 1; // the system cannot create more threads
    }
  }

  void stop() {
    if (workers.empty()) return;
    isStopping = true;
    publish();
    for (auto& worker : workers) worker.join();
    workers.clear();
  }
};

/** Returns the pool, which is never destroyed: threads may still use it at process exit. */
Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

thread_local bool isInsideRun = false;

/** One slot of scratch memory. */
struct Scratch {
  float* data = nullptr;
  int64_t floats = 0;
  void release() {
    if (data) ::operator delete(data, std::align_val_t(64));
    data = nullptr;
  }
  ~Scratch() { release(); }
};

} // namespace

int threadCount() { return pool().count; }

void setThreadCount(int count) {
  std::lock_guard<std::mutex> lock(pool().runMutex);
  pool().stop();
  pool().count = count < 1 ? 1 : count > 256 ? 256 : count;
}

void stopThreads() {
  std::lock_guard<std::mutex> lock(pool().runMutex);
  pool().stop();
}

void workAlone() { isInsideRun = true; }

float* scratch(int slot, int64_t floats) {
  thread_local Scratch slots[4];
  Scratch& memory = slots[slot];
  if (!memory.data || memory.floats < floats) {
    memory.release();
    memory.floats = 0; // in case the allocation throws
    memory.data = static_cast<float*>(::operator new((size_t)floats * 4, std::align_val_t(64)));
    memory.floats = floats;
  }
  return memory.data;
}

void runParallel(int64_t n, int64_t grain, Body body, void* context) {
  Pool& p = pool();
  std::unique_lock<std::mutex> lock(p.runMutex, std::defer_lock);
  if (p.count == 1 || isInsideRun || !lock.try_lock()) {
    body(context, 0, n);
    return;
  }
  p.start();
  const int64_t grains = (n + grain - 1) / grain;
  const int64_t count = p.count;
  p.body = body;
  p.context = context;
  p.n = n;
  p.step = (grains + count - 1) / count * grain;
  p.unfinished.store((int)count, std::memory_order_relaxed);
  const uint32_t current = p.publish();
  isInsideRun = true;
  for (int i = 0; i < count; i++) p.runPart(i, current);
  isInsideRun = false;
  p.waitForParts();
  if (p.isOutOfMemory.exchange(false)) throw std::bad_alloc();
}

} // namespace tinybard
