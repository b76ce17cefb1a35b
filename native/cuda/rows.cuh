// How threads share a row: it has a team of them, a warp where it is short, at most a block. Each
// thread has pieces of W neighbouring elements, and keeps them in registers where they fit.
#pragma once

#include "block.cuh"
#include "vector.cuh"

namespace tinybard::cuda {

/** The sum over T threads, some warps of a block, in each of them. All threads must call it. */
template <int T>
__device__ inline float teamSum(float x) {
  constexpr int warps = T / WARP;
  SHARED(float, sums, [WARP]);
  x = warpSum(x);
  __syncthreads(); // of an earlier call: all have read
  if (lane() == 0) sums[warp()] = x;
  __syncthreads();
  x = 0;
  for (int w = 0; w < warps; w++) x += sums[warp() / warps * warps + w];
  return x;
}

/** T threads have a row, W elements at a time, P pieces each; P = 0: as many as it takes. */
template <int W_, int P_, int T_>
struct Shape {
  static constexpr int W = W_, P = P_, T = T_;
  static constexpr int threads = T < BLOCK_SIZE ? BLOCK_SIZE : T, teams = threads / T; // of a block

  /** This thread's place in its team. */
  __device__ static int rank() { return threadIdx.x % T; }
  /** This team's number among all of the grid, and how many there are. */
  __device__ static int64_t team() { return (int64_t)blockIdx.x * teams + threadIdx.x / T; }
  __device__ static int64_t allTeams() { return (int64_t)gridDim.x * teams; }

  __device__ static float sum(float x) {
    if constexpr (T == WARP) return warpSum(x);
    else return teamSum<T>(x);
  }
  __device__ static float max(float x) {
    static_assert(T == WARP || T == threads);
    if constexpr (T == WARP) return warpMax(x);
    else return blockMax(x);
  }

  /** f(i, p) for each piece of this thread in a row of n elements: the p-th, which begins at i. */
  template <class F>
  __device__ static void each(int n, const F& f) {
    if constexpr (P > 0) {
#pragma unroll
      for (int p = 0; p < P; p++)
        if ((p * T + rank()) * W < n) f((p * T + rank()) * W, p);
    } else {
#pragma unroll(W > 1 ? 1 : 4) // unrolled, nvcc would store packs element by element
      for (int i = rank() * W; i < n; i += T * W) f(i, 0);
    }
  }
};

/** A row as this thread has it: its pieces in registers, or else in memory as before. */
template <class F, class S>
struct Row {
  const F* x;
  Vector<F, S::W> held[S::P > 0 ? S::P : 1] = {};

  __device__ Row(const F* x, int n) : x(x) {
    if constexpr (S::P > 0) S::each(n, [&](int i, int p) { held[p] = load<S::W>(x + i); });
  }
  /** Piece p, which begins at i. */
  __device__ Vector<F, S::W> at(int i, int p) const {
    if constexpr (S::P > 0) return held[p];
    else return load<S::W>(x + i);
  }
};

/** f(shape) with a shape for rows of n elements, which are packed or not. */
template <class F, class Launch>
void withShape(bool packed, int64_t n, const Launch& f) {
  constexpr int W = Pack<F>::size;
  const int64_t pieces = n / W;
  if (!packed && n <= 1024) f(Shape<1, 0, WARP>());
  else if (!packed) f(Shape<1, 0, 512>());
  else if (pieces <= WARP) f(Shape<W, 1, WARP>());
  else if (pieces <= 2 * WARP) f(Shape<W, 2, WARP>());
  else if (pieces <= 4 * WARP) f(Shape<W, 4, WARP>());
  else if (pieces <= 256) f(Shape<W, 1, 256>());
  else if (pieces <= 1024) f(Shape<W, 4, 256>());
  else f(Shape<W, 0, 512>());
}

/** A grid for so many rows, a team of S for each of them at a time. */
template <class S>
Dim rowGrid(int64_t rows, int64_t most = 1 << 30) {
  return gridFor(rows, S::teams, most);
}

/** e^x; errors in x log2(e) are as small as x is, and large powers need no more. */
__device__ inline float power(float x) { return exp2f(x * 1.44269504f); }

/** What a row is shifted by before e^x, its largest element, and then the sum of e^x. */
struct Normalizer {
  float shift, sum;
};

/** The largest of a row's elements; 0, nothing to subtract, where all are -Infinity or NaN. */
template <class F, class S>
__device__ inline float shiftOf(const Row<F, S>& row, int n) {
  float top = -INFINITY;
  S::each(n, [&](int i, int p) {
    const auto x = row.at(i, p);
    for (int k = 0; k < S::W; k++) top = fmaxf(top, toFloat(x.at[k]));
  });
  top = S::max(top);
  return top == -INFINITY ? 0 : top;
}

/**
 * The normalizer of the first n elements of a row of `width`, in one pass: a thread's sum is scaled
 * down whenever a larger element comes.
 */
template <class F, class S>
__device__ inline Normalizer normalizerOf(const Row<F, S>& row, int n, int width) {
  float top = -INFINITY, sum = 0;
  S::each(width, [&](int i, int p) {
    const auto x = row.at(i, p);
    float here = top;
    for (int k = 0; k < S::W; k++)
      if (n == width || i + k < n) here = fmaxf(here, toFloat(x.at[k]));
    const float shift = here == -INFINITY ? 0 : here;
    if (here > top) sum *= power(top - here);
    for (int k = 0; k < S::W; k++)
      if (n == width || i + k < n) sum += power(toFloat(x.at[k]) - shift);
    top = here;
  });
  const float largest = S::max(top), shift = largest == -INFINITY ? 0 : largest;
  return {shift, S::sum(sum * power(top - shift))};
}

} // namespace tinybard::cuda
