// A block that is being run, on one OS thread: each of its threads has its own stack, and a thread
// that must wait switches to another one that is ready.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emulator.h"
#include "fiber.h"

namespace tinybard::cuda::emulator {

constexpr int LANES = 32;
constexpr int MAX_THREADS = 1024;
constexpr size_t MAX_SHARED = 227 * 1024;              // the largest maxSharedBytes()
constexpr size_t MAX_STATIC_SHARED = 48 * 1024;        // the part of it available to SHARED
constexpr size_t ARENA_SIZE = MAX_SHARED + 64 * 1024; // with red zones

/** An operation that the lanes of a warp do together: the last lane to arrive executes it. */
struct WarpOperation {
  const char* name;
  void (*execute)(void* const* operands, unsigned mask); // operands by lane, for those of the mask
  bool requiresSameLine; // all lanes must call it from the same line
};

/** An asynchronous copy to shared memory. */
struct AsyncCopy {
  void* to;
  const void* from;
  int validBytes;
  int group;
  bool isDone;
};

/** A thread of the block. */
struct Thread {
  uint3 index;
  void* stack = nullptr;                     // where it continues; null: it has not started
  int fiber = -1;                            // the index of its stack
  const WarpOperation* waitingFor = nullptr; // and the line and lane mask of that operation
  SourceLine line = {};
  unsigned mask = 0;
  std::vector<AsyncCopy> copies;
  int committedGroups = 0;
};

/** An operation at which some lanes of its mask have arrived, but not all. */
struct PendingOperation {
  const WarpOperation* operation;
  unsigned mask;
  unsigned arrived;
  SourceLine line;
  void* operands[LANES];
};

struct SharedArray {
  const SharedDeclaration* declaration;
  char* begin;
  size_t bytes;
  std::string name() const { return declaration->name; }
};

struct Warp {
  unsigned ready; // the lanes that are not waiting
  std::vector<std::unique_ptr<PendingOperation>> pending;
  std::vector<std::unique_ptr<PendingOperation>> unused; // for reuse
};

/** The random number generator that decides the order of threads (splitmix64). */
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

  /** Runs block `index` of a launch; returns false if it failed. */
  bool run(const Launch& launch, uint3 index, uint64_t seed);

  // called by the running thread
  void barrier(SourceLine line);
  void warpOperation(const WarpOperation& operation, unsigned mask, void* operand,
                     SourceLine line);
  void* sharedArray(const SharedDeclaration& declaration);
  void* dynamicShared() const { return arena; }
  bool isShared(const void* address, size_t bytes) const {
    return (size_t)((const char*)address - arena) + bytes <= used;
  }
  /** Returns the offset of an address in the arena, or -1 if it is elsewhere. */
  int64_t arenaOffset(const void* address) const {
    const int64_t offset = (const char*)address - arena;
    return offset >= 0 && offset < (int64_t)ARENA_SIZE ? offset : -1;
  }
  /** Returns the shared array that contains the address, or null. */
  const SharedArray* findArray(const void* address) const;
  void copyAsync(void* to, const void* from, int validBytes, const void* code);
  void commitCopies();
  void waitForGroups(int pending);
  /** Ends the block after an error. Does not return. */
  [[noreturn]] void abandon();

  const Launch& currentLaunch() const { return *launch; }
  int runningThread() const { return current; }
  const Thread& thread(int i) const { return threads[i]; }

  Random random;
  Stacks stacks;

 private:
  static void entry();
  [[noreturn]] void runThreads(int fiber);
  int chooseThread();
  void switchThread(void** save);
  void setCurrent(int i);
  void markReady(int i);
  void complete(AsyncCopy& copy);
  void initialize();
  void reportDeadlock();
  void checkRedZones();

  const Launch* launch = nullptr;
  void* scheduler = nullptr; // the stack on which run() waits
  std::vector<Thread> threads = std::vector<Thread>(MAX_THREADS);
  Warp warps[MAX_THREADS / LANES] = {};
  unsigned readyWarps = 0;
  int count = 0;     // threads
  int finished = 0;  // threads
  int current = 0;   // the running thread
  int atBarrier = 0; // threads that wait at a barrier
  bool isAbandoned = false;
  std::vector<int> freeFibers;

  std::vector<SharedArray> arrays; // the first is dynamic shared memory
  std::unique_ptr<char[]> memory;
  char* arena; // in memory, aligned to 128 bytes
  size_t used = 0;        // bytes of the arena
  size_t staticBytes = 0; // of arrays declared with SHARED
};

/** The block whose thread is running on this OS thread; null outside of kernels. */
EMULATOR_THREAD_LOCAL Block* block;

/** The start of the running thread's stack. Most accesses are to it and need no check. */
EMULATOR_THREAD_LOCAL const char* currentStack;

/**
 * True while the emulator's own code runs. Its accesses may reach the checks too, since the linker
 * keeps one copy of an inline function, possibly the instrumented one; they are not checked.
 */
EMULATOR_THREAD_LOCAL bool isInEmulator;

/** Marks the emulator's code as running, from a kernel's call on until the call returns. */
class EmulatorScope {
 public:
  explicit EmulatorScope(const char* operation);
  ~EmulatorScope() { isInEmulator = false; }
  EmulatorScope(const EmulatorScope&) = delete;
  Block* operator->() const { return block; }
};

} // namespace tinybard::cuda::emulator
