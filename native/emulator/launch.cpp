// Launches: runs the blocks of a grid in a random order on TINYBARD_EMULATOR_THREADS OS threads; in
// checked mode on one.

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../cuda/device.cuh"
#include "block.h"
#include "check.h"
#include "crash.h"
#include "report.h"
#include "runtime.h"

namespace tinybard::cuda::emulator {
namespace {

uint64_t seedFromEnvironment() {
  const char* const setting = std::getenv("TINYBARD_EMULATOR_SEED");
  return setting ? std::strtoull(setting, nullptr, 0) : 1;
}

uint64_t seed = seedFromEnvironment();
uint64_t launchesSinceSeed = 0;

/** A launch in progress: the random order of its blocks. */
class GridRun {
 public:
  GridRun(const Launch& launch, uint64_t seed)
      : launch(launch), blocks((uint64_t)launch.grid.x * launch.grid.y * launch.grid.z),
        seed(seed) {
    Random random = {seed};
    first = random.next() % blocks;
    do {
      step = 1 + random.next() % blocks;
    } while (gcd(step, blocks) != 1); // coprime, so that every block is visited once
  }

  /** Runs blocks until none is left. Called by each of the OS threads. */
  void runBlocks() {
    // on the heap: a library loaded at run time has little thread-local storage
    static thread_local const auto ownBlock = std::make_unique<Block>();
    prepareThreadForCrashes();
    for (uint64_t i = next++; i < blocks && !hasFailed; i = next++) {
      const uint64_t at = (uint64_t)((first + (unsigned __int128)i * step) % blocks);
      const dim3 size = launch.grid;
      const uint3 index = {(unsigned)(at % size.x), (unsigned)(at / size.x % size.y),
                           (unsigned)(at / size.x / size.y)};
      Random random = {seed ^ at};
      if (!ownBlock->run(launch, index, random.next())) hasFailed = true;
    }
  }

  bool hasOneBlock() const { return blocks == 1; }

 private:
  static uint64_t gcd(uint64_t a, uint64_t b) { return b == 0 ? a : gcd(b, a % b); }

  const Launch& launch;
  const uint64_t blocks, seed;
  uint64_t first, step;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> hasFailed{false};
};

/** OS threads that run blocks together with the launching thread. */
class WorkerPool {
 public:
  ~WorkerPool() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      isStopping = true;
    }
    wake.notify_all();
    for (auto& worker : workers) worker.join();
  }

  void run(GridRun& grid) {
    if (!checking && !grid.hasOneBlock() && workerCount() > 0) {
      std::unique_lock<std::mutex> lock(mutex);
      while ((int)workers.size() < workerCount()) workers.emplace_back([this] { work(); });
      current = &grid;
      round++;
      busy = (int)workers.size();
      lock.unlock();
      wake.notify_all();
      grid.runBlocks();
      lock.lock();
      done.wait(lock, [this] { return busy == 0; });
    } else {
      grid.runBlocks();
    }
  }

 private:
  static int workerCount() {
    static const int count = [] {
      const char* const setting = std::getenv("TINYBARD_EMULATOR_THREADS");
      const int all = setting ? std::atoi(setting) : (int)std::thread::hardware_concurrency();
      return (all < 1 ? 1 : all > 32 ? 32 : all) - 1;
    }();
    return count;
  }

  void work() {
    std::unique_lock<std::mutex> lock(mutex);
    for (uint64_t seen = round - 1;;) {
      wake.wait(lock, [&] { return isStopping || round != seen; });
      if (isStopping) return;
      seen = round;
      GridRun* const grid = current;
      lock.unlock();
      grid->runBlocks();
      lock.lock();
      if (--busy == 0) done.notify_one();
    }
  }

  std::mutex mutex;
  std::condition_variable wake, done;
  std::vector<std::thread> workers;
  GridRun* current = nullptr;
  uint64_t round = 0;
  int busy = 0;
  bool isStopping = false;
};

/** Returns the reason why a device would refuse the launch, or null. */
const char* launchError(const Launch& launch) {
  const dim3 grid = launch.grid, block = launch.block;
  const uint64_t threads = (uint64_t)block.x * block.y * block.z;
  if (threads == 0 || threads > MAX_THREADS || block.z > 64) return "invalid block size";
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) return "invalid grid size";
  if (launch.sharedBytes > maxSharedBytes()) return "more shared memory than a block can have";
  return nullptr;
}

} // namespace

void setSeed(uint64_t newSeed) {
  seed = newSeed;
  launchesSinceSeed = 0;
}

void runNow(const Launch& launch) {
  static std::mutex& mutex = *new std::mutex; // JavaScript may call from several threads
  static WorkerPool pool;
  std::lock_guard<std::mutex> lock(mutex);
  clearFailure();
  if (const char* const problem = launchError(launch)) {
    return report(functionName(launch.kernel) + ": cannot be launched: " + problem);
  }
  if (checking) check::beginLaunch();
  Random random = {seed ^ ++launchesSinceSeed << 32};
  GridRun grid(launch, random.next());
  installCrashHandlers();
  pool.run(grid);
  restoreCrashHandlers();
}

} // namespace tinybard::cuda::emulator
