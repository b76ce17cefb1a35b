// Which accesses of a launch are ordered, whatever the order in which its threads happen to run:
// by barriers within a block, and between blocks by a counter, as isLastBlock() of block.cuh uses
// it. Two accesses that are not, one of them a write, are a race.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "block.h"

namespace tinybard::cuda::emulator {

/** Who came to a place, and when. */
struct Access {
  uint32_t block;            // the blocks of the process are numbered from 1; 0: nobody
  uint32_t thread : 10;      // of the block
  uint32_t time : 20;        // how many barriers, of any kind, the block had seen
  uint32_t isAtomic : 1;
  uint32_t isFilling : 1;    // a copyAsync, which may still write
  uint32_t code;             // from codeBase() on
};

class Order {
 public:
  void beginLaunch();
  void beginBlock(uint3 index, int threads);

  // what threads of the running block did
  void barrier();
  void syncWarp(int warp, unsigned mask);
  void fence(int i);
  void write(int i); // of memory that other blocks can see
  void atomic(int i, const void* at);

  uint32_t block() const { return first + (uint32_t)blocks.size() - 1; }
  uint32_t time(int i) const { return threads[i].time; }
  /** Whether an access has come before what thread i does now. */
  bool isBefore(const Access& access, int i) const {
    if (access.block < first) return true;
    if (access.block != block()) return isReleased(access, i);
    if ((int)access.thread == i || access.time < barrierTime) return true;
    return (int)access.thread / LANES == i / LANES &&
           access.time < threads[i].known[access.thread % LANES];
  }
  /** "block (1,0,0), thread (2,0,0)", or only the thread if it is of the running block. */
  std::string nameOf(const Access& access) const;

 private:
  /** What others have seen who read the counter of a block: it has counted before. */
  struct Release {
    uint32_t before;      // accesses of all threads before this time
    int thread;           // and of this one
    int64_t until;        // up to this time
  };
  struct Counter {
    std::unordered_map<uint32_t, Release> releases; // by block
  };
  struct Thread {
    uint32_t time;
    uint32_t known[LANES]; // what lanes of its warp did before these times comes before it
    uint32_t fenced;       // what all did before this time, it has fenced
    bool isDirty;          // it has written since its last fence
    int seen;              // 1: it knows the counters in `observed`; 2: with a fence behind
  };
  bool isReleased(const Access& access, int i) const;

  std::vector<Thread> threads;
  uint32_t now = 0, barrierTime = 0; // of the running block
  uint32_t cleanTime = 0;            // of its last barrier that no writes came to without a fence
  std::vector<const Counter*> observed; // by the running block
  std::unordered_map<const void*, Counter> counters;
  std::vector<uint3> blocks; // of this launch, in the order in which they ran
  uint32_t first = 1;        // the number of its first block
};

} // namespace tinybard::cuda::emulator
