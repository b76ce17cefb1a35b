// Operations that the threads of a warp or block do together: reductions, and reductions across
// blocks. All sums are in a fixed order, so that equal inputs give equal bits. Sums of many terms
// are in two levels, so that the rounding error does not grow with the number of terms: a thread
// adds blocks of SUM_LENGTH terms in f32, and the blocks in f64.
#pragma once

#include "device.cuh"
#include "vector.cuh"

namespace tinybard::cuda {

constexpr unsigned FULL_MASK = 0xffffffff; // all lanes of a warp
constexpr int WARP = 32;                   // lanes of a warp
constexpr int SUM_LENGTH = 128;            // terms that a thread adds in one f32 sum

/** The index of this thread in its warp. */
__device__ inline int lane() { return threadIdx.x % WARP; }
/** The index of this thread's warp in its block. */
__device__ inline int warp() { return threadIdx.x / WARP; }

/** Returns the sum over the lanes of a warp, in every lane. All lanes must call it. */
__device__ inline float warpSum(float x) {
  for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL_MASK, x, step);
  return x;
}

/** Returns the maximum over the lanes of a warp, in every lane. All lanes must call it. */
__device__ inline float warpMax(float x) {
  for (int step = WARP / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, step));
  return x;
}

/** Returns the sum over a block of whole warps, in every thread. All threads must call it. */
__device__ inline float blockSum(float x) {
  SHARED(float, sums, [WARP]);
  x = warpSum(x);
  __syncthreads(); // sums may still be read by an earlier call
  if (lane() == 0) sums[warp()] = x;
  __syncthreads();
  const int warps = (blockDim.x + WARP - 1) / WARP;
  return warpSum(lane() < warps ? sums[lane()] : 0.0f);
}

/** Returns the maximum over a block of whole warps, in every thread. All threads must call it. */
__device__ inline float blockMax(float x) {
  SHARED(float, maxima, [WARP]);
  x = warpMax(x);
  __syncthreads(); // maxima may still be read by an earlier call
  if (lane() == 0) maxima[warp()] = x;
  __syncthreads();
  const int warps = (blockDim.x + WARP - 1) / WARP;
  return warpMax(lane() < warps ? maxima[lane()] : -INFINITY);
}

/**
 * Returns true in the last of `blocks` blocks that call it: that block sees what all others have
 * written before their call. *counter must be 0 before, and is 0 again afterwards. All threads must
 * call it.
 */
__device__ inline bool isLastBlock(unsigned* counter, unsigned blocks) {
  SHARED(bool, isLast, [1]);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    isLast[0] = atomicAdd(counter, 1u) == blocks - 1;
    if (isLast[0]) *counter = 0;
  }
  __syncthreads();
  __threadfence();
  return isLast[0];
}

/**
 * Returns true in the last block of a one-dimensional grid that calls it, where *x becomes the sum
 * over all threads of the grid. partials [gridDim.x] is scratch memory; *counter is as in
 * isLastBlock(). All threads must call it.
 */
__device__ inline bool gridSum(float* x, float* partials, unsigned* counter) {
  const float blockTotal = blockSum(*x);
  if (threadIdx.x == 0) partials[blockIdx.x] = blockTotal;
  if (!isLastBlock(counter, gridDim.x)) return false;
  float sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += partials[i];
  *x = blockSum(sum);
  return true;
}

constexpr int PARTIALS_PER_GROUP = 16; // partial sums that one block adds in reducePartials()

/** Returns the number of counters that reducePartials() uses for `count` partial sums. */
__host__ __device__ constexpr int64_t partialCounters(int64_t count) {
  return 1 + ceilDiv(count, PARTIALS_PER_GROUP);
}

/** Replaces the first of `count` rows of n elements, `stride` apart, by the sum of all. */
template <int W>
__device__ inline void addRows(float* x, int64_t stride, int64_t n, int count) {
  for (int64_t i = threadIdx.x * W; i < n; i += blockDim.x * W) {
    Vector<float, W> sum = {};
#pragma unroll 8
    for (int j = 0; j < count; j++) {
      const Vector<float, W> xj = load<W>(x + j * stride + i);
      for (int k = 0; k < W; k++) sum.at[k] += xj.at[k];
    }
    store(x + i, sum);
  }
}

/**
 * Adds the partial sums of `count` blocks, of n elements each, in a fixed order: block i has
 * written its own from partials + i stride on, and calls this. The last block of each group of
 * PARTIALS_PER_GROUP to arrive adds those of its group; the last of these blocks adds the groups,
 * leaves the result in partials[0 .. n - 1] and returns true. All threads must call it.
 */
__device__ inline bool reducePartials(float* partials, int64_t stride, int64_t n, int i, int count,
                                      unsigned* counters) {
  constexpr int SIZE = PARTIALS_PER_GROUP;
  const bool vectorize = canVectorize<float>(n | stride, partials);
  const int group = i / SIZE;
  const int first = group * SIZE;
  const int groups = (int)ceilDiv(count, SIZE);
  const int members = count - first < SIZE ? count - first : SIZE;
  if (!isLastBlock(counters + 1 + group, members)) return false;
  if (vectorize) addRows<4>(partials + first * stride, stride, n, members);
  else addRows<1>(partials + first * stride, stride, n, members);
  if (!isLastBlock(counters, groups)) return false;
  if (vectorize) addRows<4>(partials, SIZE * stride, n, groups);
  else addRows<1>(partials, SIZE * stride, n, groups);
  __syncthreads();
  return true;
}

/** Returns index if it is within 0 to bound - 1; otherwise records the error and returns 0. */
__device__ inline int checkIndex(int index, int64_t bound, IndexSource source, int64_t position,
                                 IndexError* indexError) {
  if (index >= 0 && index < bound) return index;
  if (atomicCAS(&indexError->source, 0, (int)source) == 0) {
    indexError->value = index;
    indexError->position = position;
    indexError->bound = bound;
  }
  return 0;
}

} // namespace tinybard::cuda
