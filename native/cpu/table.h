// The kernels as a table of functions, one for each instruction set that this build has.
#pragma once

#include "../call.h"

namespace tinybard {

struct Table {
  using F = f32;
  using W = word;
  const char* simd; // the name of the instruction set
#define KERNEL(name, buffers, sizes) void (*name)(buffers sizes End);
#include "../declare.inc"
};

/** The table for the best instruction set that this processor has, or for the one that
 *  `forced` names; null, with a reason, if that cannot be had. */
const Table* chooseTable(const char* forced, const char** reason);

} // namespace tinybard
