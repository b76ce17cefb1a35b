// The argument checks of each kernel, from kernels.def.
#pragma once

#include "arguments.h"

namespace tinybard {

/** A kernel as JavaScript calls it. */
struct Entry {
  const char* name;
  const char* signature; // the parameters as kernels.def declares them
  void (*check)(Arguments&);
};

extern const Entry entries[]; // in the order of kernels.def
extern const size_t entryCount;

} // namespace tinybard
