// The loop of elementwise kernels: a grid-stride loop in which each thread processes W consecutive
// elements at a time with 16-byte accesses, or one element if the buffers are not aligned for that.
#pragma once

#include "device.cuh"

namespace tinybard::cuda {

/** W elements in registers, aligned so that they move in accesses of up to 16 bytes. W is 2^n. */
template <class T, int W>
struct alignas(W * sizeof(T) < 16 ? W * sizeof(T) : 16) Vector {
  T at[W];
};

/** Loads W elements from x, which must be aligned for a Vector<T, W>. */
template <int W, class T>
__device__ inline Vector<T, W> load(const T* x) {
  return *reinterpret_cast<const Vector<T, W>*>(x);
}

/** Stores W elements to y, which must be aligned for a Vector<T, W>. */
template <int W, class T>
__device__ inline void store(T* y, const Vector<T, W>& x) {
  *reinterpret_cast<Vector<T, W>*>(y) = x;
}

/** The index of this thread in its one-dimensional grid. */
__device__ inline int64_t globalThreadIndex() {
  return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

/** The number of threads in the grid: the step of a grid-stride loop. */
__device__ inline int64_t globalThreadCount() { return (int64_t)gridDim.x * blockDim.x; }

constexpr int BLOCK_SIZE = 256; // threads of a block of an elementwise kernel

/** The grid of a grid-stride loop over n work items: at most as many blocks as run at once. */
inline Dim gridStrideBlocks(int64_t n) { return gridFor(n, BLOCK_SIZE, 8 * multiprocessors()); }

} // namespace tinybard::cuda
