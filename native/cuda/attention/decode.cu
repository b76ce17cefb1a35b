// Attention of one new token over a cache of the tokens before it, for generation: bound by how
// fast the cache is read. A block has a head. Eight lanes, a team, have a key at a time, and packs
// of it each, so that a block asks for many keys at once. Each team takes the softmax of its keys
// online; what the teams found is joined at the end.

#include "../block.cuh"
#include "../vector.cuh"
#include "attention.h"

namespace tinybard::cuda {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / WARP;
constexpr int MEMBERS = 8, TEAMS = THREADS / MEMBERS; // lanes of a team, teams of a block

/** What a lane has of a row of at most N * MEMBERS packs: every eighth pack; 0 past its end. */
template <class F, int N>
struct Share {
  static constexpr int SIZE = Pack<F>::size;
  Pack<F> packs[N];

  __device__ static int column(int n) { return (threadIdx.x % MEMBERS + n * MEMBERS) * SIZE; }
  __device__ float at(int n, int i) const { return toFloat(packs[n].at[i]); }

  __device__ void load(const F* row, int D, bool packed) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      const int d = column(n);
      if (packed && d < D) {
        packs[n] = *reinterpret_cast<const Pack<F>*>(row + d);
      } else {
#pragma unroll
        for (int i = 0; i < SIZE; i++) packs[n].at[i] = d + i < D ? row[d + i] : roundTo<F>(0.0f);
      }
    }
  }
  __device__ void store(F* row, int D, bool packed) const {
#pragma unroll
    for (int n = 0; n < N; n++) {
      const int d = column(n);
      if (packed && d < D) {
        *reinterpret_cast<Pack<F>*>(row + d) = packs[n];
      } else {
#pragma unroll
        for (int i = 0; i < SIZE; i++)
          if (d + i < D) row[d + i] = packs[n].at[i];
      }
    }
  }
};

/** Notes that T tokens behind `past` others are more than the cache has room for. */
__device__ inline void noteFull(int past, int64_t T, int64_t capacity, IndexError* indexError) {
  checkIndex(past < 0 ? past : past + (int)T - 1, capacity, IndexSource::cachedAttention, T - 1,
             indexError);
}

/** What e^(score - its top) is at another top; 0 if there were no keys. */
__device__ inline float shrink(float top, float other) {
  return top == -INFINITY ? 0.0f : exp2f(top - other);
}

template <class F, int N>
__global__ void __launch_bounds__(THREADS) attendOverCache(Cached<F> problem) {
  if (!problem.isPossible()) { // nor does any other thread go on
    if (threadIdx.x == 0) noteFull(*problem.past, 1, problem.Tk, problem.indexError);
    return;
  }
  constexpr int SIZE = Pack<F>::size, KEYS = 4 / N; // keys that a team asks for at once
  SHARED(float, tops, [WARPS]);
  SHARED(float, totals, [WARPS]);
  SHARED(float, allSums, [WARPS][N * MEMBERS * SIZE]);
  const int head = blockIdx.x, team = threadIdx.x / MEMBERS, past = *problem.past;
  const int D = problem.D;
  const bool packed = problem.packed;
  const Rows<const F> q = problem.rowsOf(problem.q, head, 1);
  const Rows<F> k = problem.rowsOf(problem.cacheK, head, past + 1);
  const Rows<F> v = problem.rowsOf(problem.cacheV, head, past + 1);
  const F* const newK = problem.rowsOf(problem.newK, head, 1).data;
  const F* const newV = problem.rowsOf(problem.newV, head, 1).data;
  const float scale = LOG2E / sqrtf((float)D);

  Share<F, N> query;
  query.load(q.data, D, packed);
  float sums[N][SIZE] = {}, top = -INFINITY, total = 0.0f;
  for (int at = 0; at <= past; at += TEAMS * KEYS) {
    Share<F, N> keys[KEYS], values[KEYS];
#pragma unroll
    for (int i = 0; i < KEYS; i++) {
      const int j = at + i * TEAMS + team, width = j <= past ? D : 0;
      keys[i].load(j < past ? k.data + j * k.step : newK, width, packed);
      values[i].load(j < past ? v.data + j * v.step : newV, width, packed);
      if (j == past) {
        keys[i].store(k.data + j * k.step, D, packed);
        values[i].store(v.data + j * v.step, D, packed);
      }
    }
    float scores[KEYS], largest = top;
#pragma unroll
    for (int i = 0; i < KEYS; i++) {
      float score = 0.0f;
#pragma unroll
      for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < SIZE; e++) score += query.at(n, e) * keys[i].at(n, e);
#pragma unroll
      for (int step = MEMBERS / 2; step > 0; step /= 2)
        score += __shfl_xor_sync(FULL_MASK, score, step);
      scores[i] = at + i * TEAMS + team <= past ? score * scale : -INFINITY;
      largest = fmaxf(largest, scores[i]);
    }
    const float shift = largest == -INFINITY ? 0.0f : largest; // no NaN from -inf + inf
    const float factor = exp2f(top - shift);
    top = largest;
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

  // the teams of a warp, then the warps
  float largest = top;
  for (int step = MEMBERS; step < WARP; step *= 2)
    largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, step));
  const float factor = shrink(top, largest);
  total *= factor;
  for (int step = MEMBERS; step < WARP; step *= 2) total += __shfl_xor_sync(FULL_MASK, total, step);
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < SIZE; e++) {
      float sum = sums[n][e] * factor;
      for (int step = MEMBERS; step < WARP; step *= 2) sum += __shfl_xor_sync(FULL_MASK, sum, step);
      if (lane() < MEMBERS) allSums[warp()][Share<F, N>::column(n) + e] = sum;
    }
  if (lane() == 0) {
    tops[warp()] = largest;
    totals[warp()] = total;
  }
  __syncthreads();
  largest = -INFINITY;
  for (int i = 0; i < WARPS; i++) largest = fmaxf(largest, tops[i]);
  F* const y = problem.rowsOf(problem.y, head, 1).data;
  for (int d = threadIdx.x; d < D; d += THREADS) {
    float sum = 0.0f, all = 0.0f;
    for (int i = 0; i < WARPS; i++) {
      const float itsFactor = shrink(tops[i], largest);
      sum += allSums[i][d] * itsFactor;
      all += totals[i] * itsFactor;
    }
    y[d] = roundTo<F>(sum / all);
  }
}

/** W elements at a time. */
template <int W, class F>
__global__ void __launch_bounds__(BLOCK_SIZE) copyTokens(const F* qkv, F* cache, const i32* past,
                                                    int64_t B, int64_t T, int64_t C,
                                                    int64_t capacity, IndexError* indexError) {
  if (*past < 0 || *past > capacity - T) {
    if (globalThreadIndex() == 0) noteFull(*past, T, capacity, indexError);
    return;
  }
  for (int64_t i = globalThreadIndex() * W; i < B * T * 2 * C; i += globalThreadCount() * W) {
    const int64_t token = i / (2 * C), column = i % (2 * C), b = token / T, t = token % T;
    store(cache + (b * capacity + *past + t) * 2 * C + column,
          load<W>(qkv + token * 3 * C + C + column));
  }
}

template <int N, class F>
void start(const Cached<F>& problem) {
  launch(attendOverCache<F, N>, Dim((unsigned)problem.heads), THREADS, 0, problem);
}

} // namespace

template <class F>
void attendOne(const Cached<F>& problem) {
  constexpr int WIDTH = MEMBERS * Pack<F>::size;
  if (problem.D <= WIDTH) start<1>(problem);
  else if (problem.D <= 2 * WIDTH) start<2>(problem);
  else if constexpr (2 * WIDTH < MOST_D) start<4>(problem);
}

template <class F>
void append(const F* qkv, F* cache, const i32* past, int64_t B, int64_t T, int64_t C,
            int64_t capacity) {
  constexpr int SIZE = Pack<F>::size;
  const bool packed = canVectorize<F>(C, qkv, cache);
  launch(packed ? copyTokens<SIZE, F> : copyTokens<1, F>,
         gridStrideBlocks(B * T * 2 * C / (packed ? SIZE : 1)), BLOCK_SIZE, 0, qkv, cache, past, B, T, C,
         capacity, deviceIndexError());
}

template void attendOne(const Cached<f32>&);
template void attendOne(const Cached<bf16>&);
template void append(const f32*, f32*, const i32*, int64_t, int64_t, int64_t, int64_t);
template void append(const bf16*, bf16*, const i32*, int64_t, int64_t, int64_t, int64_t);

} // namespace tinybard::cuda
