// Building blocks of row kernels: a group of threads processes a row together. The group is a warp
// for short rows and at most a block for long ones. Each thread owns vectors of W neighboring
// elements and keeps them in registers if they fit.
#pragma once

#include "block.cuh"
#include "vector.cuh"

namespace tinybard::cuda {

/**
 * Returns the sum over a group of THREADS threads, which are whole warps of a block, in each of
 * them. All threads of the block must call it.
 */
template <int THREADS>
__device__ inline float groupSum(float x) {
  constexpr int WARPS = THREADS / WARP;
  SHARED(float, sums, [WARP]);
  x = warpSum(x);
  __syncthreads(); // sums may still be read by an earlier call
  if (lane() == 0) sums[warp()] = x;
  __syncthreads();
  x = 0;
  for (int w = 0; w < WARPS; w++) x += sums[warp() / WARPS * WARPS + w]; // of the group's warps
  return x;
}

/**
 * How a group of threads shares a row: THREADS threads load vectors of WIDTH elements, VECTORS of
 * them per thread; VECTORS = 0 means as many as the row requires, which stay in memory.
 */
template <int WIDTH, int VECTORS, int THREADS>
struct RowLayout {
  static constexpr int W = WIDTH;
  static constexpr int vectors = VECTORS;
  static constexpr int groupSize = THREADS;
  static constexpr int blockSize = THREADS < BLOCK_SIZE ? BLOCK_SIZE : THREADS;
  static constexpr int groupsPerBlock = blockSize / THREADS;

  /** The index of this thread in its group. */
  __device__ static int rank() { return threadIdx.x % groupSize; }
  /** The index of this thread's group in the block. */
  __device__ static int groupInBlock() { return threadIdx.x / groupSize; }
  /** The index of this thread's group in the grid. */
  __device__ static int64_t threadGroup() {
    return (int64_t)blockIdx.x * groupsPerBlock + threadIdx.x / groupSize;
  }
  /** The number of groups in the grid. */
  __device__ static int64_t groupCount() { return (int64_t)gridDim.x * groupsPerBlock; }

  /** Returns the sum over the group, in each of its threads. All threads of the block call it. */
  __device__ static float sum(float x) {
    if constexpr (groupSize == WARP) return warpSum(x);
    else return groupSum<groupSize>(x);
  }

  /** Returns the maximum over the group, in each of its threads. All threads call it. */
  __device__ static float max(float x) {
    static_assert(groupSize == WARP || groupSize == blockSize);
    if constexpr (groupSize == WARP) return warpMax(x);
    else return blockMax(x);
  }

  /** Calls f(i, v) for each of this thread's vectors in a row of n elements: v starts at i. */
  template <class Function>
  __device__ static void forEachVector(int n, const Function& f) {
    if constexpr (vectors > 0) {
#pragma unroll
      for (int v = 0; v < vectors; v++)
        if ((v * groupSize + rank()) * W < n) f((v * groupSize + rank()) * W, v);
    } else {
#pragma unroll(W > 1 ? 1 : 4) // if vectors were unrolled, nvcc would store element by element
      for (int i = rank() * W; i < n; i += groupSize * W) f(i, 0);
    }
  }
};

/** A thread's part of a row: in registers if the layout bounds it, otherwise read from memory. */
template <class F, class Layout>
struct Row {
  const F* x;
  Vector<F, Layout::W> registers[Layout::vectors > 0 ? Layout::vectors : 1] = {};

  __device__ Row(const F* x, int n) : x(x) {
    if constexpr (Layout::vectors > 0)
      Layout::forEachVector(n, [&](int i, int v) { registers[v] = load<Layout::W>(x + i); });
  }

  /** Returns vector v, which starts at element i. */
  __device__ Vector<F, Layout::W> at(int i, int v) const {
    if constexpr (Layout::vectors > 0) return registers[v];
    else return load<Layout::W>(x + i);
  }
};

/**
 * A thread's part of a sum over a row: it adds terms to `block`, and calls endVector(i) after those
 * of the vector at i. Only rows in memory are long enough for more than one block.
 */
template <class Layout>
struct RowSum {
  static constexpr bool isLong = Layout::vectors == 0;
  float block = 0;
  double total = 0; // of the blocks before

  __device__ void endVector(int i) {
    constexpr int VECTORS = SUM_LENGTH / Layout::W; // of a block
    if (!isLong || i / (Layout::groupSize * Layout::W) % VECTORS != VECTORS - 1) return;
    total += block;
    block = 0;
  }
  __device__ void scaleBy(float factor) {
    block *= factor;
    if (isLong) total *= factor;
  }
  /** Returns the sum over this thread's terms. */
  __device__ float ofThread() const { return isLong ? (float)(total + block) : block; }
  /** Returns the sum over the row, in each thread. All threads of the block call it. */
  __device__ float ofRow() const { return Layout::sum(ofThread()); }
};

/** Calls f(layout) with the RowLayout for rows of n elements. */
template <class F, class Function>
void dispatchRowLayout(bool vectorize, int64_t n, const Function& f) {
  constexpr int W = Pack<F>::size;
  const int64_t vectors = n / W;
  if (!vectorize && n <= 1024) f(RowLayout<1, 0, WARP>());
  else if (!vectorize) f(RowLayout<1, 0, 512>());
  else if (vectors <= WARP) f(RowLayout<W, 1, WARP>());
  else if (vectors <= 2 * WARP) f(RowLayout<W, 2, WARP>());
  else if (vectors <= 4 * WARP) f(RowLayout<W, 4, WARP>());
  else if (vectors <= 256) f(RowLayout<W, 1, 256>());
  else if (vectors <= 1024) f(RowLayout<W, 4, 256>());
  else f(RowLayout<W, 0, 512>());
}

/** Returns a grid with a thread group for each row, of at most maxBlocks blocks. */
template <class Layout>
Dim rowGrid(int64_t rows, int64_t maxBlocks = 1 << 30) {
  return gridFor(rows, Layout::groupsPerBlock, maxBlocks);
}

/** Returns e^x. The error of x log2(e) is small where x is; a large e^x tolerates it. */
__device__ inline float fastExp(float x) { return exp2f(x * 1.44269504f); }

/** The statistics of a softmax: the row's maximum (0 if that is -Infinity) and sum(e^(x - max)). */
struct SoftmaxStats {
  float max;
  float sum;
};

/** Returns the maximum of a row; 0, so that nothing is subtracted, if all are -Infinity or NaN. */
template <class F, class Layout>
__device__ inline float rowMax(const Row<F, Layout>& row, int n) {
  float max = -INFINITY;
  Layout::forEachVector(n, [&](int i, int v) {
    const auto x = row.at(i, v);
    for (int k = 0; k < Layout::W; k++) max = fmaxf(max, toFloat(x.at[k]));
  });
  max = Layout::max(max);
  return max == -INFINITY ? 0 : max;
}

/**
 * Returns the softmax statistics of the first n elements of a row of `width` in one pass (online
 * softmax, Milakov and Gimelshein 2018): each thread rescales its sum when its maximum grows.
 */
template <class F, class Layout>
__device__ inline SoftmaxStats softmaxStats(const Row<F, Layout>& row, int n, int width) {
  float max = -INFINITY;
  RowSum<Layout> sum;
  Layout::forEachVector(width, [&](int i, int v) {
    const auto x = row.at(i, v);
    float newMax = max;
    for (int k = 0; k < Layout::W; k++)
      if (n == width || i + k < n) newMax = fmaxf(newMax, toFloat(x.at[k]));
    const float shift = newMax == -INFINITY ? 0 : newMax;
    if (newMax > max) sum.scaleBy(fastExp(max - newMax));
    for (int k = 0; k < Layout::W; k++)
      if (n == width || i + k < n) sum.block += fastExp(toFloat(x.at[k]) - shift);
    sum.endVector(i);
    max = newMax;
  });
  const float groupMax = Layout::max(max);
  const float shift = groupMax == -INFINITY ? 0 : groupMax;
  return {shift, Layout::sum(sum.ofThread() * fastExp(max - shift))};
}

} // namespace tinybard::cuda
