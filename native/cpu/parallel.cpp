// The pool of parallel.h. A worker that has nothing to do spins for a short while, since the next
// kernel mostly comes within microseconds, and then sleeps: waking it costs 5 to 50 microseconds.
// Nobody waits for a worker to come: parts that are not taken when the caller has done its own, the
// caller does too. So a processor that is busy with another program costs time, but not a wait of
// milliseconds for each kernel.

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

constexpr auto SPIN = std::chrono::microseconds(100);

/** Tells the processor that this is a loop that waits. */
inline void rest() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield");
#endif
}

struct Pool {
  std::mutex running; // one run at a time
  std::vector<std::thread> workers;
  std::atomic<int> count{1}; // of threads that are to work, the caller among them

  // the run that workers are told of: written before `round` grows, read after it is seen
  Body body;
  void* context;
  int64_t n, step;
  std::atomic<uint32_t> round{0};
  std::unique_ptr<std::atomic<uint32_t>[]> taken; // of each part: the last round it was taken in
  std::atomic<int> open{0}; // parts that are not done
  std::atomic<bool> lacksMemory{false}; // somewhere: the caller throws it when all have ended
  std::atomic<bool> ends{false};

  std::mutex sleeping;
  std::condition_variable wake;
  std::atomic<int> sleepers{0};

  /**
   * Does part i of a run, unless somebody else does. Only the first to ask finds the round before:
   * whoever comes late, perhaps when other runs have begun, touches nothing of them.
   */
  void work(int i, uint32_t now) {
    uint32_t before = now - 1;
    if (!taken[i].compare_exchange_strong(before, now, std::memory_order_acq_rel)) return;
    const int64_t begin = i * step, end = begin + step < n ? begin + step : n;
    try {
      if (begin < end) body(context, begin, end);
    } catch (const std::bad_alloc&) {
      lacksMemory = true;
    }
    open.fetch_sub(1, std::memory_order_release);
  }

  uint32_t announce() {
    const uint32_t now = round.fetch_add(1, std::memory_order_seq_cst) + 1;
    if (sleepers.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard<std::mutex> lock(sleeping);
      wake.notify_all();
    }
    return now;
  }

  /** Waits for a run after `seen`, and gives the latest. */
  uint32_t waitAfter(uint32_t seen) {
    const auto isNew = [&] { return round.load(std::memory_order_acquire) != seen; };
    const auto start = std::chrono::steady_clock::now();
    for (int i = 1; !isNew(); i++) {
      rest();
      if (i % 64 != 0 || std::chrono::steady_clock::now() - start < SPIN) continue;
      std::unique_lock<std::mutex> lock(sleeping);
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      wake.wait(lock, [&] { return round.load(std::memory_order_seq_cst) != seen; });
      sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
    return round.load(std::memory_order_acquire);
  }

  void finish() {
    for (int i = 1; open.load(std::memory_order_acquire) > 0; i++) {
      rest();
      if (i % 4096 == 0) std::this_thread::yield(); // a worker may wait for this processor
    }
  }

  void start() {
    if (!workers.empty()) return;
    ends = false;
    const uint32_t now = round.load();
    taken = std::make_unique<std::atomic<uint32_t>[]>((size_t)count);
    for (int i = 0; i < count; i++) taken[i] = now;
    try {
      for (int i = 1; i < count; i++) {
        workers.emplace_back([this, i, seen = now]() mutable {
          for (;;) {
            seen = waitAfter(seen);
            if (ends) return;
            work(i, seen);
          }
        });
      }
    } catch (const std::system_error&) {
      count = (int)workers.size() + 1; // the system gives no more
    }
  }

  void stop() {
    if (workers.empty()) return;
    ends = true;
    announce();
    for (auto& worker : workers) worker.join();
    workers.clear();
  }
};

/** Never destroyed: a thread that is still there at the end of the process would touch it. */
Pool& pool() {
  static Pool& only = *new Pool;
  return only;
}

thread_local bool isInside = false;

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
  std::lock_guard<std::mutex> lock(pool().running);
  pool().stop();
  pool().count = count < 1 ? 1 : count > 256 ? 256 : count;
}

void stopThreads() {
  std::lock_guard<std::mutex> lock(pool().running);
  pool().stop();
}

void workAlone() { isInside = true; }

float* scratch(int place, int64_t floats) {
  thread_local Scratch places[4];
  Scratch& mine = places[place];
  if (mine.floats < floats) {
    mine.release();
    mine.floats = 0;
    mine.data = static_cast<float*>(::operator new((size_t)floats * 4, std::align_val_t(64)));
    mine.floats = floats;
  }
  return mine.data;
}

void runParallel(int64_t n, int64_t grain, Body body, void* context) {
  Pool& all = pool();
  std::unique_lock<std::mutex> lock(all.running, std::defer_lock);
  if (all.count == 1 || isInside || !lock.try_lock()) {
    body(context, 0, n);
    return;
  }
  all.start();
  const int64_t grains = (n + grain - 1) / grain, count = all.count;
  all.body = body;
  all.context = context;
  all.n = n;
  all.step = (grains + count - 1) / count * grain;
  all.open.store((int)count, std::memory_order_relaxed);
  const uint32_t now = all.announce();
  isInside = true;
  for (int i = 0; i < count; i++) all.work(i, now);
  isInside = false;
  all.finish();
  if (all.lacksMemory.exchange(false)) throw std::bad_alloc();
}

} // namespace tinybard
