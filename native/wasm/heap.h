// The memory of the module: tensors, scratch memory of kernels, and what C++ allocates by itself.
#pragma once

#include <cstddef>

namespace tinybard {

/** The largest address. (SIZE_MAX in the headers is that of 32-bit addresses.) */
constexpr size_t MAX_ADDRESS = ~size_t{0};

/** Returns memory that is aligned to 64 bytes; null if there is not enough. Any thread may call. */
void* allocate(size_t bytes);
void release(void* memory);

} // namespace tinybard
