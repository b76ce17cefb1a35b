// The watchdog: a thread that wakes up a few times within the limit and looks at the start of the
// current wait.

#include "watchdog.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace tinybard::watchdog {
namespace {

int64_t now() { // nanoseconds
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

struct Watch {
  std::atomic<int64_t> waitingSince{0}; // 0: no call is waiting
  std::mutex mutex;
  std::condition_variable wake;
  std::thread thread;
  int64_t limit = 0; // nanoseconds
  std::string message;
  bool isStopping = false;

  void run() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!isStopping) {
      const int64_t interval = std::clamp<int64_t>(limit / 4, 10'000'000, 1'000'000'000);
      // not wait_for(), whose clock is that of glibc 2.30
      wake.wait_until(lock, std::chrono::system_clock::now() + std::chrono::nanoseconds(interval));
      const int64_t since = waitingSince.load(std::memory_order_relaxed);
      if (isStopping || since == 0 || now() - since < limit) continue;
      std::fprintf(stderr, "%s\n", message.c_str());
      std::fflush(stderr);
      std::_Exit(1); // without destructors: the library is in the middle of a call
    }
  }
};

/** Never destroyed: its thread may still run at process exit. */
Watch& watch() {
  static Watch& instance = *new Watch;
  return instance;
}

} // namespace

void start(double seconds, const std::string& message) {
  Watch& w = watch();
  std::lock_guard<std::mutex> lock(w.mutex);
  w.limit = (int64_t)(std::min(seconds, 1e9) * 1e9);
  w.message = message;
  if (w.thread.joinable()) return;
  w.isStopping = false;
  w.thread = std::thread([&w] { w.run(); });
}

void stop() {
  Watch& w = watch();
  if (!w.thread.joinable()) return;
  {
    std::lock_guard<std::mutex> lock(w.mutex);
    w.isStopping = true;
  }
  w.wake.notify_all();
  w.thread.join();
}

Wait::Wait() { watch().waitingSince.store(now(), std::memory_order_relaxed); }
Wait::~Wait() { watch().waitingSince.store(0, std::memory_order_relaxed); }

} // namespace tinybard::watchdog
