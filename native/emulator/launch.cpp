// Launches: the blocks of a grid, in an order of chance, on as many threads of the system as
// TINYBARD_EMULATOR_THREADS says; on one where each access is checked.

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "block.h"
#include "check.h"
#include "crash.h"
#include "report.h"
#include "runtime.h"

namespace tinybard::cuda::emulator {
namespace {

uint64_t seedOfEnvironment() {
  const char* const wanted = std::getenv("TINYBARD_EMULATOR_SEED");
  return wanted ? std::strtoull(wanted, nullptr, 0) : 1;
}

uint64_t seed = seedOfEnvironment();
uint64_t launchesSinceSeed = 0;

/** One launch at work: its blocks in an order of chance. */
class Grid {
 public:
  Grid(const Launch& launch, uint64_t seed)
      : launch(launch), blocks((uint64_t)launch.grid.x * launch.grid.y * launch.grid.z),
        seed(seed) {
    Random random = {seed};
    first = random.next() % blocks;
    do step = 1 + random.next() % blocks; // coprime to their number: it comes to each block once
    while (gcd(step, blocks) != 1);
  }

  /** Runs blocks as long as there are any. */
  void work() {
    // not the block itself: a module that is loaded late has little room for threads' own memory
    static thread_local const auto mine = std::make_unique<Block>();
    prepareForCrashes();
    for (uint64_t i; (i = next++) < blocks && !hasFailed;) {
      const uint64_t at = (uint64_t)((first + (unsigned __int128)i * step) % blocks);
      const dim3 size = launch.grid;
      const uint3 index = {(unsigned)(at % size.x), (unsigned)(at / size.x % size.y),
                           (unsigned)(at / size.x / size.y)};
      Random random = {seed ^ at};
      if (!mine->run(launch, index, random.next())) hasFailed = true;
    }
  }

  bool isSmall() const { return blocks == 1; }

 private:
  static uint64_t gcd(uint64_t a, uint64_t b) { return b == 0 ? a : gcd(b, a % b); }

  const Launch& launch;
  const uint64_t blocks, seed;
  uint64_t first, step;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> hasFailed{false};
};

/** Threads of the system that help the one that launches. */
class Crew {
 public:
  ~Crew() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      ends = true;
    }
    wake.notify_all();
    for (auto& worker : workers) worker.join();
  }

  void work(Grid& grid) {
    if (!checking && !grid.isSmall() && helpers() > 0) {
      std::unique_lock<std::mutex> lock(mutex);
      while ((int)workers.size() < helpers()) workers.emplace_back([this] { help(); });
      present = &grid;
      round++;
      busy = (int)workers.size();
      lock.unlock();
      wake.notify_all();
      grid.work();
      lock.lock();
      done.wait(lock, [this] { return busy == 0; });
    } else {
      grid.work();
    }
  }

 private:
  static int helpers() {
    static const int count = [] {
      const char* const wanted = std::getenv("TINYBARD_EMULATOR_THREADS");
      const int all = wanted ? std::atoi(wanted) : (int)std::thread::hardware_concurrency();
      return (all < 1 ? 1 : all > 32 ? 32 : all) - 1;
    }();
    return count;
  }

  void help() {
    std::unique_lock<std::mutex> lock(mutex);
    for (uint64_t seen = round - 1;;) {
      wake.wait(lock, [&] { return ends || round != seen; });
      if (ends) return;
      seen = round;
      Grid* const grid = present;
      lock.unlock();
      grid->work();
      lock.lock();
      if (--busy == 0) done.notify_one();
    }
  }

  std::mutex mutex;
  std::condition_variable wake, done;
  std::vector<std::thread> workers;
  Grid* present = nullptr;
  uint64_t round = 0;
  int busy = 0;
  bool ends = false;
};

/** What the device would not launch; null: it would. */
const char* objection(const Launch& launch) {
  const dim3 grid = launch.grid, block = launch.block;
  const uint64_t threads = (uint64_t)block.x * block.y * block.z;
  if (threads == 0 || threads > MOST_THREADS || block.z > 64) return "a block of no fit size";
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) return "a grid of no fit size";
  if (launch.sharedBytes > MOST_SHARED) return "more than 227 KB of shared memory";
  return nullptr;
}

} // namespace

void setSeed(uint64_t to) {
  seed = to;
  launchesSinceSeed = 0;
}

void runNow(const Launch& launch) {
  static std::mutex& one = *new std::mutex; // JavaScript may have several threads
  static Crew crew;
  std::lock_guard<std::mutex> lock(one);
  forgetFailure();
  if (const char* const problem = objection(launch)) {
    return note(functionAt(launch.kernel) + ": cannot be launched: " + problem);
  }
  if (checking) check::beginLaunch();
  Random random = {seed ^ ++launchesSinceSeed << 32};
  Grid grid(launch, random.next());
  catchCrashes();
  crew.work(grid);
  giveBackCrashes();
}

} // namespace tinybard::cuda::emulator
