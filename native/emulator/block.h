// A block of threads at work, on one thread of the system: each of its threads is a stack of its
// own, and whoever must wait goes on with another that can.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulator.h"
#include "fiber.h"

namespace tinybard::cuda::emulator {

constexpr int LANES = 32;
constexpr int MOST_THREADS = 1024;
constexpr size_t MOST_SHARED = 227 * 1024;       // of a block, as on the H100
constexpr size_t MOST_STATIC_SHARED = 48 * 1024; // what SHARED may take of it
constexpr size_t ARENA = MOST_SHARED + 64 * 1024;       // with red zones

/** What lanes do together: the last one to come does it for all. */
struct Operation {
  const char* name;
  void (*forAll)(void* const* offers, unsigned mask); // what each lane of the mask brought along
  bool isOneLine; // all lanes must come from the same line
};

/** A copy to shared memory on its way. */
struct Copy {
  void* to;
  const void* from;
  int valid, group;
  bool isDone;
};

/** A thread of the block. */
struct Thread {
  uint3 index;
  void* stack = nullptr; // where it goes on; null: it has not begun
  int fiber = -1;        // the number of its stack
  const Operation* waitsAt = nullptr;
  Here here = {};
  unsigned mask = 0;
  std::vector<Copy> copies;
  int groups = 0; // of copies that it has committed
};

/** Lanes that have come to an operation, while others of its mask have not. */
struct Gathering {
  const Operation* operation;
  unsigned mask, arrived;
  Here here;
  void* offers[LANES];
};

struct SharedArray {
  const Site* site;
  char* begin;
  size_t bytes;
  std::string name() const { return site->name; }
};

struct Warp {
  unsigned ready; // lanes that can go on
  std::vector<std::unique_ptr<Gathering>> open, spare;
};

/** A generator for the orders (splitmix64). */
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t x = state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  bool oneIn(unsigned n) { return next() % n == 0; }
};

class Block {
 public:
  Block();

  /** Runs block `index` of a launch from its begin to its end; false if it could not end. */
  bool run(const Launch& launch, uint3 index, uint64_t seed);

  // what the running thread may ask
  void barrier(Here here);
  void gather(const Operation& operation, unsigned mask, void* offer, Here here);
  void* shared(const Site& site);
  void* dynamic() const { return arena; }
  bool isShared(const void* address, size_t bytes) const {
    return (size_t)((const char*)address - arena) + bytes <= used;
  }
  /** Where an address of the arena lies in it; -1: in none. */
  int64_t inArena(const void* address) const {
    const int64_t offset = (const char*)address - arena;
    return offset >= 0 && offset < (int64_t)ARENA ? offset : -1;
  }
  /** The array that holds the address; null: none. */
  const SharedArray* arrayAt(const void* address) const;
  void copy(void* to, const void* from, int valid, const void* code);
  void commit();
  void waitForGroups(int pending);
  /** Gives up the block: something is wrong with it. Does not return. */
  [[noreturn]] void giveUp();

  const Launch& launched() const { return *launch; }
  int running() const { return current; }
  const Thread& thread(int i) const { return threads[i]; }

  Random random;
  Stacks stacks;

 private:
  static void entry();
  [[noreturn]] void runThreads(int fiber);
  int choose();
  void goOn(void** save);
  void setRunning(int i);
  void setReady(int i);
  void land(Copy& copy);
  void begin();
  [[noreturn]] void wrongArrival(const Operation& operation, unsigned mask, Here here);
  void reportStuck();
  void checkRedZones();

  const Launch* launch = nullptr;
  void* home = nullptr; // where run() waits
  std::vector<Thread> threads = std::vector<Thread>(MOST_THREADS);
  Warp warps[MOST_THREADS / LANES] = {};
  unsigned readyWarps = 0;
  int count = 0, ended = 0, current = 0, atBarrier = 0;
  bool isGivenUp = false;
  std::vector<int> spareFibers;

  std::vector<SharedArray> arrays; // the first is the dynamic one
  std::unique_ptr<char[]> memory;
  char* arena;
  size_t used = 0, inSites = 0;
};

/** The block that the caller is a thread of; null outside of kernels. */
EMULATOR_OWN Block* block;

/** Where the running thread's stack begins: most accesses are to it, and need no check. */
EMULATOR_OWN const char* ownStack;

/**
 * Whether the emulator itself is at work, whose accesses are not those of a kernel. They may come
 * to be watched, since the linker keeps one copy of an inline function, maybe a kernel's.
 */
EMULATOR_OWN bool isInside;

/** The way into the emulator for a thread of a kernel. */
class Inside {
 public:
  explicit Inside(const char* asked);
  ~Inside() { isInside = false; }
  Inside(const Inside&) = delete;
  Block* operator->() const { return block; }
};

} // namespace tinybard::cuda::emulator
