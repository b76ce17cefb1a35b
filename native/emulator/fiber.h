// Stacks and the switch between them, with which a kernel's thread can wait in the middle of a
// function.
#pragma once

#include <cstddef>

namespace tinybard::cuda::emulator {

extern "C" {
/** Saves the state of this stack in *from and continues where `to` was saved. */
void tinybardSwitchStack(void** from, void* to);
}

/** A contiguous array of stacks, each above an inaccessible guard zone. */
class Stacks {
 public:
  static constexpr size_t SIZE = 64 * 1024;
  static constexpr size_t GUARD = 64 * 1024;
  static constexpr size_t STRIDE = GUARD + SIZE;

  explicit Stacks(int count);
  ~Stacks();
  Stacks(const Stacks&) = delete;

  /** Prepares stack i so that switching to the result calls entry(), which must not return. */
  void* prepare(int i, void (*entry)());

  /** Returns the start of stack i, that is, of its guard. */
  const char* start(int i) const { return base + i * STRIDE; }
  /** Returns the index of the stack that contains the address, or -1. */
  int indexOf(const void* address) const {
    const size_t offset = (size_t)((const char*)address - base);
    return offset < STRIDE * count ? (int)(offset / STRIDE) : -1;
  }

 private:
  char* base;
  size_t count;
  int guarded = 0; // the number of stacks, from 0 on, whose guard is set up
};

} // namespace tinybard::cuda::emulator
