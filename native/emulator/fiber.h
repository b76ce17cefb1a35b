// Stacks, and the step from one to another: what a thread of a kernel needs so that it can wait in
// the middle of a function.
#pragma once

#include <cstddef>

namespace tinybard::cuda::emulator {

extern "C" {
/** Leaves this stack, noting in *from where, and goes on where `to` was left. */
void tinybardSwitchStack(void** from, void* to);
}

/** Stacks of equal size in one piece, each above a zone that must not be touched. */
class Stacks {
 public:
  static constexpr size_t room = 64 * 1024, guard = 64 * 1024, step = guard + room;

  explicit Stacks(int count);
  ~Stacks();
  Stacks(const Stacks&) = delete;

  /** Where tinybardSwitchStack() may go to call entry(), which must not return, on stack i. */
  void* begin(int i, void (*entry)());

  /** Where stack i begins, with its guard. */
  const char* at(int i) const { return base + i * step; }
  /** Which stack holds the address; -1: none. */
  int of(const void* address) const {
    const size_t offset = (size_t)((const char*)address - base);
    return offset < step * count ? (int)(offset / step) : -1;
  }

 private:
  char* base;
  size_t count;
  int guarded = 0; // stacks from 0 on that have their guard
};

} // namespace tinybard::cuda::emulator
