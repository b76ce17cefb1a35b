// The kernels as a table of functions, one table for each instruction set of this build.
#pragma once

#include "../arguments/slot.h"
#include "bf16.h"

namespace tinybard {

struct Table {
  const char* simd;      // the name of the instruction set
  const Kernel* kernels; // in the order of kernels.def
};

/** Returns the table for the best instruction set of this processor, or for the one named
 *  `forced`; null, with a reason, if that is not available. */
const Table* chooseTable(const char* forced, const char** reason);

/** Returns the kernels for products in bf16 that go with a table, if this processor has the
 *  instructions; otherwise null or, for a test, the same in software if `isEmulated`. */
const Bf16Kernels* chooseBf16(const Table* table, bool isEmulated);

} // namespace tinybard
