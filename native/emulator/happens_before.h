// The happens-before relation of a launch's accesses, independent of the order in which its threads
// happen to run: accesses are ordered by barriers within a block, and between blocks by a counter,
// as in isLastBlock() of block.cuh. Two unordered accesses, at least one a write, are a race.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "block.h"

namespace tinybard::cuda::emulator {

/** An access to a location: by which thread, and when. */
struct Access {
  uint32_t block;        // numbered from 1 over the process; 0: no access
  uint32_t thread : 10;  // in the block
  uint32_t time : 20;    // the number of barriers, of any kind, before it in the block
  uint32_t isAtomic : 1;
  uint32_t isAsync : 1;  // a copyAsync that may still write
  uint32_t code;         // the code address, relative to the loaded image
};

class HappensBefore {
 public:
  void beginLaunch();
  void beginBlock(uint3 index, int threads);

  // events of the running block
  void barrier();
  void syncWarp(int warp, unsigned mask);
  void fence(int i);
  void write(int i); // to memory that other blocks can see
  void atomic(int i, const void* at);

  uint32_t block() const { return first + (uint32_t)blocks.size() - 1; }
  uint32_t time(int i) const { return threads[i].time; }
  /** Returns true if an access happens before what thread i does now. */
  bool isBefore(const Access& access, int i) const {
    if (access.block < first) return true;
    if (access.block != block()) return isReleased(access, i);
    if ((int)access.thread == i || access.time < barrierTime) return true;
    return (int)access.thread / LANES == i / LANES &&
           access.time < threads[i].known[access.thread % LANES];
  }
  /** Returns "block (1,0,0), thread (2,0,0)", without the block if it is the running one. */
  std::string nameOf(const Access& access) const;

 private:
  /** The accesses that a block has released by an atomic on a counter. */
  struct Release {
    uint32_t before; // those of all its threads before this time
    int thread;      // and those of this thread
    int64_t until;   // up to this time
  };
  struct Counter {
    std::unordered_map<uint32_t, Release> releases; // by block
  };
  /** The state of a thread with respect to the counters in `observed`. */
  enum class Acquire {
    none,
    counted, // it has performed an atomic on them, or knows a thread that has
    fenced   // and a fence after that: it sees what they release
  };
  struct Thread {
    uint32_t time;
    uint32_t known[LANES];  // accesses of the warp's lanes before these times happened before
    uint32_t fenced;        // the time of the last barrier before its last fence
    bool hasUnfencedWrites; // since its last fence
    Acquire acquire;
  };
  bool isReleased(const Access& access, int i) const;

  std::vector<Thread> threads;
  uint32_t now = 0;         // of the running block
  uint32_t barrierTime = 0; // of its last __syncthreads()
  uint32_t cleanTime = 0;   // of the last one that no thread reached with unfenced writes
  std::vector<const Counter*> observed; // by the running block
  std::unordered_map<const void*, Counter> counters;
  std::vector<uint3> blocks; // of this launch, in the order of their run
  uint32_t first = 1;        // the number of its first block
};

} // namespace tinybard::cuda::emulator
