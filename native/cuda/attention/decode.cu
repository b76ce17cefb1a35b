// Attention of one new token over a KV cache, for text generation. The time is that of reading the
// cache from memory, so the kernel is built to have as many loads in flight as possible.

#include "../block.cuh"
#include "../vector.cuh"
#include "attention.h"

namespace tinybard::cuda {
namespace {

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / WARP;
constexpr int GROUP_SIZE = 8; // lanes of a thread group, which reads one key at a time
constexpr int GROUPS = THREADS / GROUP_SIZE;

/**
 * A lane's part of a row that a thread group holds: N packs of 16 bytes, every eighth of the row.
 * Elements past the end of the row are 0.
 */
template <class F, int N>
struct RowSlice {
  static constexpr int SIZE = Pack<F>::size;
  Pack<F> packs[N];

  /** Returns the column of pack n in the row. */
  __device__ static int column(int n) {
    return (threadIdx.x % GROUP_SIZE + n * GROUP_SIZE) * SIZE;
  }
  __device__ float at(int n, int i) const { return toFloat(packs[n].at[i]); }

  __device__ void load(const F* row, int D, bool isAligned) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      const int d = column(n);
      if (isAligned && d < D) {
        packs[n] = *reinterpret_cast<const Pack<F>*>(row + d);
      } else {
#pragma unroll
        for (int i = 0; i < SIZE; i++) packs[n].at[i] = d + i < D ? row[d + i] : roundTo<F>(0.0f);
      }
    }
  }
  __device__ void store(F* row, int D, bool isAligned) const {
#pragma unroll
    for (int n = 0; n < N; n++) {
      const int d = column(n);
      if (isAligned && d < D) {
        *reinterpret_cast<Pack<F>*>(row + d) = packs[n];
      } else {
#pragma unroll
        for (int i = 0; i < SIZE; i++)
          if (d + i < D) row[d + i] = packs[n].at[i];
      }
    }
  }
};

/** Records that T tokens at position `past` do not fit into the capacity of the cache. */
__device__ inline void recordOverflow(int past, int64_t T, int64_t capacity,
                                      IndexError* indexError) {
  checkIndex(past < 0 ? past : past + (int)T - 1, capacity, IndexSource::cachedAttention, T - 1,
             indexError);
}

/** Returns the factor that rescales sums from one maximum score to another; 0 without keys. */
__device__ inline float rescaleFactor(float maxScore, float newMax) {
  return maxScore == -INFINITY ? 0.0f : exp2f(maxScore - newMax);
}

/**
 * y = softmax(q k^T / sqrt(D)) v over the cached keys and the new one, for one head and one query;
 * also copies the new key and value into the cache.
 *
 * A block of 256 threads computes a head, in 32 thread groups of 8 lanes. Each group takes every
 * 32nd key, loads several keys and values before it uses them, and computes an online softmax over
 * its keys. At the end the sums of the groups of a warp, then of the warps, are rescaled to a
 * common maximum and added. Grid: headCount blocks. A row has at most N * GROUP_SIZE packs.
 */
template <class F, int N>
__global__ void __launch_bounds__(THREADS) decodeKernel(AttentionDecode<F> problem) {
  if (!problem.fitsCapacity()) { // the same in all threads
    if (threadIdx.x == 0) recordOverflow(*problem.past, 1, problem.Tk, problem.indexError);
    return;
  }
  constexpr int SIZE = Pack<F>::size;
  constexpr int KEYS = 4 / N; // that a group loads at once
  SHARED(float, warpMaxScores, [WARPS]);
  SHARED(float, warpTotals, [WARPS]);
  SHARED(float, warpSums, [WARPS][N * GROUP_SIZE * SIZE]);
  const int head = blockIdx.x;
  const int group = threadIdx.x / GROUP_SIZE;
  const int past = *problem.past;
  const int D = problem.D;
  const bool isAligned = problem.isAligned;
  const HeadRows<const F> q = problem.headRows(problem.q, head, 1);
  const HeadRows<F> k = problem.headRows(problem.cacheK, head, past + 1);
  const HeadRows<F> v = problem.headRows(problem.cacheV, head, past + 1);
  const F* const newK = problem.headRows(problem.newK, head, 1).data;
  const F* const newV = problem.headRows(problem.newV, head, 1).data;
  const float scale = LOG2E / sqrtf((float)D); // of scores, for exponentials in base 2

  RowSlice<F, N> query;
  query.load(q.data, D, isAligned);
  float sums[N][SIZE] = {}; // sum(e^(score - maxScore) v)
  float maxScore = -INFINITY;
  float total = 0.0f; // sum(e^(score - maxScore))
  for (int first = 0; first <= past; first += GROUPS * KEYS) {
    RowSlice<F, N> keys[KEYS], values[KEYS];
#pragma unroll
    for (int i = 0; i < KEYS; i++) {
      const int j = first + i * GROUPS + group;
      const int width = j <= past ? D : 0;
      keys[i].load(j < past ? k.data + j * k.stride : newK, width, isAligned);
      values[i].load(j < past ? v.data + j * v.stride : newV, width, isAligned);
      if (j == past) {
        keys[i].store(k.data + j * k.stride, D, isAligned);
        values[i].store(v.data + j * v.stride, D, isAligned);
      }
    }
    float scores[KEYS];
    float newMax = maxScore;
#pragma unroll
    for (int i = 0; i < KEYS; i++) {
      float score = 0.0f;
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < SIZE; e++) score += query.at(n, e) * keys[i].at(n, e);
#pragma unroll
      for (int step = GROUP_SIZE / 2; step > 0; step /= 2)
        score += __shfl_xor_sync(FULL_MASK, score, step);
      scores[i] = first + i * GROUPS + group <= past ? score * scale : -INFINITY;
      newMax = fmaxf(newMax, scores[i]);
    }
    const float shift = newMax == -INFINITY ? 0.0f : newMax; // no NaN from -inf + inf
    const float factor = exp2f(maxScore - shift);
    maxScore = newMax;
    total *= factor;
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int e = 0; e < SIZE; e++) sums[n][e] *= factor;
#pragma unroll
    for (int i = 0; i < KEYS; i++) {
      const float weight = exp2f(scores[i] - shift);
      total += weight;
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < SIZE; e++) sums[n][e] += weight * values[i].at(n, e);
    }
  }

  // the thread groups of a warp
  float newMax = maxScore;
  for (int step = GROUP_SIZE; step < WARP; step *= 2)
    newMax = fmaxf(newMax, __shfl_xor_sync(FULL_MASK, newMax, step));
  const float factor = rescaleFactor(maxScore, newMax);
  total *= factor;
  for (int step = GROUP_SIZE; step < WARP; step *= 2)
    total += __shfl_xor_sync(FULL_MASK, total, step);
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < SIZE; e++) {
      float sum = sums[n][e] * factor;
      for (int step = GROUP_SIZE; step < WARP; step *= 2)
        sum += __shfl_xor_sync(FULL_MASK, sum, step);
      if (lane() < GROUP_SIZE) warpSums[warp()][RowSlice<F, N>::column(n) + e] = sum;
    }
  if (lane() == 0) {
    warpMaxScores[warp()] = newMax;
    warpTotals[warp()] = total;
  }
  __syncthreads();

  // the warps of the block
  newMax = -INFINITY;
  for (int i = 0; i < WARPS; i++) newMax = fmaxf(newMax, warpMaxScores[i]);
  F* const y = problem.headRows(problem.y, head, 1).data;
  for (int d = threadIdx.x; d < D; d += THREADS) {
    float sum = 0.0f;
    float blockTotal = 0.0f;
    for (int i = 0; i < WARPS; i++) {
      const float warpFactor = rescaleFactor(warpMaxScores[i], newMax);
      sum += warpSums[i][d] * warpFactor;
      blockTotal += warpTotals[i] * warpFactor;
    }
    y[d] = roundTo<F>(sum / blockTotal);
  }
}

/**
 * cache[b, *past + t] = the last 2 C elements of qkv[b, t]; qkv [B, T, 3 C], cache [B, capacity,
 * 2 C]. A grid-stride loop over W elements at a time.
 */
template <int W, class F>
__global__ void __launch_bounds__(BLOCK_SIZE)
    appendKernel(const F* qkv, F* cache, const i32* past, int64_t B, int64_t T, int64_t C,
                 int64_t capacity, IndexError* indexError) {
  if (*past < 0 || *past > capacity - T) {
    if (globalThreadIndex() == 0) recordOverflow(*past, T, capacity, indexError);
    return;
  }
  const int64_t n = B * T * 2 * C;
  for (int64_t i = globalThreadIndex() * W; i < n; i += globalThreadCount() * W) {
    const int64_t token = i / (2 * C);
    const int64_t column = i % (2 * C);
    const int64_t b = token / T;
    const int64_t t = token % T;
    F* const target = cache + (b * capacity + *past + t) * 2 * C + column;
    store(target, load<W>(qkv + token * 3 * C + C + column));
  }
}

template <int N, class F>
void launchDecode(const AttentionDecode<F>& problem) {
  launch(decodeKernel<F, N>, Dim((unsigned)problem.headCount), Dim(THREADS), 0, problem);
}

} // namespace

template <class F>
void decodeAttention(const AttentionDecode<F>& problem) {
  constexpr int WIDTH = GROUP_SIZE * Pack<F>::size; // elements of a row for each N
  if (problem.D <= WIDTH) launchDecode<1>(problem);
  else if (problem.D <= 2 * WIDTH) launchDecode<2>(problem);
  else if constexpr (2 * WIDTH < MAX_HEAD_DIM) launchDecode<4>(problem);
}

template <class F>
void appendToCache(const F* qkv, F* cache, const i32* past, int64_t B, int64_t T, int64_t C,
                   int64_t capacity) {
  constexpr int W = Pack<F>::size;
  const bool isAligned = canVectorize<F>(C, qkv, cache);
  const int64_t n = B * T * 2 * C;
  launch(isAligned ? appendKernel<W, F> : appendKernel<1, F>,
         gridStrideBlocks(n / (isAligned ? W : 1)),
         Dim(BLOCK_SIZE),
         0,
         qkv,
         cache,
         past,
         B,
         T,
         C,
         capacity,
         deviceIndexError());
}

template void decodeAttention(const AttentionDecode<f32>&);
template void decodeAttention(const AttentionDecode<bf16>&);
template void appendToCache(const f32*, f32*, const i32*, int64_t, int64_t, int64_t, int64_t);
template void appendToCache(const bf16*, bf16*, const i32*, int64_t, int64_t, int64_t, int64_t);

} // namespace tinybard::cuda
