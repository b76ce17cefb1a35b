// What the threads of a warp and of a block do together. Sums are in a fixed order, so that equal
// inputs give equal bits.
#pragma once

#include "device.cuh"
#include "vector.cuh"

namespace tinybard::cuda {

constexpr unsigned FULL_MASK = 0xffffffff; // all lanes of a warp
constexpr int WARP = 32;

__device__ inline int lane() { return threadIdx.x % WARP; }
__device__ inline int warp() { return threadIdx.x / WARP; }

/** The sum over the lanes of a warp, in every lane. */
__device__ inline float warpSum(float x) {
  for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(FULL_MASK, x, step);
  return x;
}

__device__ inline float warpMax(float x) {
  for (int step = WARP / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, step));
  return x;
}

/** The sum over a block of whole warps, in every thread. All threads must call it. */
__device__ inline float blockSum(float x) {
  SHARED(float, sums, [WARP]);
  x = warpSum(x);
  __syncthreads(); // of an earlier call: all have read
  if (lane() == 0) sums[warp()] = x;
  __syncthreads();
  const int warps = (blockDim.x + WARP - 1) / WARP;
  return warpSum(lane() < warps ? sums[lane()] : 0.0f);
}

__device__ inline float blockMax(float x) {
  SHARED(float, largest, [WARP]);
  x = warpMax(x);
  __syncthreads();
  if (lane() == 0) largest[warp()] = x;
  __syncthreads();
  const int warps = (blockDim.x + WARP - 1) / WARP;
  return warpMax(lane() < warps ? largest[lane()] : -INFINITY);
}

/**
 * Whether this block is the last of `blocks` to come here: then it sees what all others have
 * written before. The counter is 0 at first, and again at the end. All threads must call it.
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
 * In the last block of a grid in one dimension to come here, x becomes the sum over all threads of
 * the grid: true there. `found` has room for a float of each block. All threads must call it.
 */
__device__ inline bool gridSum(float* x, float* found, unsigned* counter) {
  const float mine = blockSum(*x);
  if (threadIdx.x == 0) found[blockIdx.x] = mine;
  if (!isLastBlock(counter, gridDim.x)) return false;
  float sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += found[i];
  *x = blockSum(sum);
  return true;
}

constexpr int GROUP = 16; // slabs that are added at a time

/** How many counters reducePartials takes for `count` slabs. */
__host__ __device__ constexpr int64_t partialCounters(int64_t count) {
  return 1 + ceilDiv(count, GROUP);
}

/** The first of `count` rows of n elements, `step` apart, becomes the sum of all. */
template <int W>
__device__ inline void addRows(float* x, int64_t step, int64_t n, int count) {
  for (int64_t i = threadIdx.x * W; i < n; i += blockDim.x * W) {
    Vector<float, W> sum = {};
#pragma unroll 8
    for (int j = 0; j < count; j++) {
      const Vector<float, W> more = load<W>(x + j * step + i);
      for (int k = 0; k < W; k++) sum.at[k] += more.at[k];
    }
    store(x + i, sum);
  }
}

/**
 * To be called by `count` blocks, of which the i-th has written n elements from slabs[i step] on:
 * those of slabs[0] become the sums of all, in a fixed order. The last block of each group to come
 * adds the group's slabs, the last of these adds the groups: true there. All threads must call it.
 */
__device__ inline bool reducePartials(float* slabs, int64_t step, int64_t n, int i, int count,
                                unsigned* counters) {
  const bool packed = canVectorize<float>(n | step, slabs);
  const int group = i / GROUP, first = group * GROUP, groups = (int)ceilDiv(count, GROUP);
  const int members = count - first < GROUP ? count - first : GROUP;
  if (!isLastBlock(counters + 1 + group, members)) return false;
  if (packed) addRows<4>(slabs + first * step, step, n, members);
  else addRows<1>(slabs + first * step, step, n, members);
  if (!isLastBlock(counters, groups)) return false;
  if (packed) addRows<4>(slabs, GROUP * step, n, groups);
  else addRows<1>(slabs, GROUP * step, n, groups);
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
