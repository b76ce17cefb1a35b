// How kernels share out elements: a thread has W neighbouring ones at a time, or a single one where
// they do not lie so that they can be moved at once.
#pragma once

#include "device.cuh"

namespace tinybard::cuda {

/** W elements in registers, a power of 2, which 16-byte accesses move, or a smaller one. */
template <class T, int W>
struct alignas(W * sizeof(T) < 16 ? W * sizeof(T) : 16) Vector {
  T at[W];
};

template <int W, class T>
__device__ inline Vector<T, W> load(const T* x) {
  return *reinterpret_cast<const Vector<T, W>*>(x);
}

template <int W, class T>
__device__ inline void store(T* y, const Vector<T, W>& x) {
  *reinterpret_cast<Vector<T, W>*>(y) = x;
}

/** This thread's number among all of the grid, and how many there are. */
__device__ inline int64_t globalThreadIndex() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int64_t globalThreadCount() { return (int64_t)gridDim.x * blockDim.x; }

constexpr int BLOCK_SIZE = 256; // threads of a block that does elements one by one

/** A grid of such blocks for n pieces of work: as many as the device runs side by side. */
inline Dim gridStrideBlocks(int64_t n) { return gridFor(n, BLOCK_SIZE, 8 * multiprocessors()); }

} // namespace tinybard::cuda
