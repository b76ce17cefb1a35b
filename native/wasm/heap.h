// The memory of the module: tensors, scratch memory of kernels, and what C++ allocates by itself.
#pragma once

#include <cstddef>

namespace tinybard {

/** Returns memory that is aligned to 64 bytes; null if there is not enough. Any thread may call. */
void* allocate(size_t bytes);
void release(void* memory);

} // namespace tinybard
