// Attention by ordinary arithmetic, any D: what f32 is served by, and heads too large for the
// kernels on tensor cores. A block owns 64 queries or keys of a head, and goes through the rows of
// the other side 64 at a time. Of 64 x 64 scores a thread has 4 x 4: with (x, y) its place among
// 16 x 16, rows 4 y + i and columns x + 16 j. A block makes 64 columns of its rows' results; if D
// is larger, other blocks compute the same scores for the next 64.

#include "../block.cuh"
#include "dropout_mask.cuh"

namespace tinybard::cuda {
namespace {

constexpr int SIDE = 64, PITCH = SIDE + 4; // 4: neighbouring rows in different banks
constexpr int THREADS = 256;

using Sums = float[4][4];

__device__ inline int x() { return threadIdx.x % 16; }
__device__ inline int y() { return threadIdx.x / 16; }

/** 64 rows of 64 floats in shared memory. */
struct Square {
  float* data;

  __device__ float* at(int row, int column) const { return data + row * PITCH + column; }
  __device__ float4 four(int row, int column) const {
    return *reinterpret_cast<const float4*>(at(row, column));
  }

  /** The rows from `first`, columns from `column`; 0 where there are none. All threads share it. */
  template <class F>
  __device__ void load(const Rows<const F>& rows, int first, int column) const {
    constexpr int SIZE = Pack<F>::size, ACROSS = SIDE / SIZE;
#pragma unroll
    for (int i = threadIdx.x; i < SIDE * ACROSS; i += THREADS) {
      const int row = i / ACROSS, d = i % ACROSS * SIZE;
      const F* const from = rows.data + (first + row) * rows.step + column + d;
      const int width = first + row < rows.count ? rows.D - column - d : 0;
      Pack<F> pack;
      if (rows.packed && width > 0) {
        pack = *reinterpret_cast<const Pack<F>*>(from);
      } else {
#pragma unroll
        for (int j = 0; j < SIZE; j++) pack.at[j] = j < width ? from[j] : roundTo<F>(0.0f);
      }
#pragma unroll
      for (int j = 0; j < SIZE; j++) *at(row, d + j) = toFloat(pack.at[j]);
    }
  }

  /** A tile of scores, transposed. */
  __device__ void put(const Sums& s) const {
#pragma unroll
    for (int j = 0; j < 4; j++)
      *reinterpret_cast<float4*>(at(x() + 16 * j, 4 * y())) =
          make_float4(s[0][j], s[1][j], s[2][j], s[3][j]);
  }
};

constexpr size_t SHARED_BYTES = // of Shared
    (3 * SIDE * PITCH + 2 * SIDE) * sizeof(float) + SIDE * SIDE / 16 * sizeof(uint16_t);

/** What a block has in shared memory. */
struct Shared {
  Square mine, theirs, weights;
  float *lse, *delta; // of 64 queries
  Kept kept;

  __device__ explicit Shared(float* data)
      : mine{data}, theirs{data + SIDE * PITCH}, weights{data + 2 * SIDE * PITCH},
        lse(data + 3 * SIDE * PITCH), delta(lse + SIDE),
        kept{reinterpret_cast<uint16_t*>(delta + SIDE), SIDE / 16} {}

  /** s_ij += a_i . b_j, for 64 rows of each */
  template <class F>
  __device__ void addProducts(Sums& s, const Rows<const F>& a, int firstA, const Rows<const F>& b,
                              int firstB) const {
    for (int column = 0; column < a.D; column += SIDE) {
      __syncthreads(); // all are done with what lay here
      mine.load(a, firstA, column);
      theirs.load(b, firstB, column);
      __syncthreads();
      const int width = min(SIDE, a.D - column);
      for (int d = 0; d < width; d += 4) {
        float4 p[4], q[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          p[i] = mine.four(4 * y() + i, d);
          q[i] = theirs.four(x() + 16 * i, d);
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) {
            s[i][j] += p[i].x * q[j].x;
            s[i][j] += p[i].y * q[j].y;
            s[i][j] += p[i].z * q[j].z;
            s[i][j] += p[i].w * q[j].w;
          }
      }
    }
  }

  /** sums [64, 64] += s b, for 64 rows of b and 64 of its columns; a thread has columns 4 x + j. */
  template <class F>
  __device__ void addWeighted(Sums& sums, const Sums& s, const Rows<const F>& b, int firstB,
                              int column) const {
    __syncthreads();
    weights.put(s);
    theirs.load(b, firstB, column);
    __syncthreads();
#pragma unroll 4
    for (int r = 0; r < SIDE; r++) {
      const float4 p = weights.four(r, 4 * y()), q = theirs.four(r, 4 * x());
      const float w[4] = {p.x, p.y, p.z, p.w}, z[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] += w[i] * z[j];
    }
  }
};

/** Writes sums, each row times its factor, to the rows from `first`, columns from `column`. */
template <class F>
__device__ inline void write(const Rows<F>& rows, int first, int column, const Sums& sums,
                             const float (&factors)[4]) {
  const int d = column + 4 * x();
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = first + 4 * y() + i;
    if (row >= rows.count) continue;
    F* const to = rows.data + row * rows.step + d;
    if (sizeof(F) == 4 && rows.packed && d < rows.D) {
      Pack<float> pack;
#pragma unroll
      for (int j = 0; j < 4; j++) pack.at[j] = sums[i][j] * factors[i];
      *reinterpret_cast<Pack<float>*>(to) = pack;
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (d + j < rows.D) to[j] = roundTo<F>(sums[i][j] * factors[i]);
    }
  }
}

/** Which rows and columns a block makes; where it is causal, the longest work comes first. */
struct Place {
  int head, first, column;

  __device__ Place(int heads, int rows, int D, bool fromTheEnd) {
    const int across = (int)ceilDiv(D, SIDE), down = (int)ceilDiv(rows, SIDE);
    const int tile = blockIdx.x / heads / across;
    head = blockIdx.x % heads;
    first = (fromTheEnd ? down - 1 - tile : tile) * SIDE;
    column = blockIdx.x / heads % across * SIDE;
  }
};

/** The sum, or the largest, over the 16 lanes that share a row of scores. */
__device__ inline float rowSum(float a) {
  for (int step = 8; step > 0; step /= 2) a += __shfl_xor_sync(FULL_MASK, a, step);
  return a;
}
__device__ inline float rowMax(float a) {
  for (int step = 8; step > 0; step /= 2) a = fmaxf(a, __shfl_xor_sync(FULL_MASK, a, step));
  return a;
}

template <class F>
__global__ void __launch_bounds__(THREADS, 2) forward(Forward<F> problem) {
  if (!problem.isPossible()) return; // nor does any other thread go on
  DYNAMIC_SHARED(float, memory);
  const Shared shared(memory);
  const Sight sight = problem.sight();
  const Place place(problem.heads, sight.Tq, problem.D, true);
  const int head = place.head, first = place.first;
  const Rows<const F> q = problem.rowsOf(problem.q, head, sight.Tq);
  const Rows<const F> k = problem.rowsOf(problem.k, head, sight.Tk);
  const Rows<const F> v = problem.rowsOf(problem.v, head, sight.Tk);
  const int end = sight.seen(min(first + SIDE, sight.Tq) - 1);
  const bool drops = problem.threshold > 0;
  const float scale = 1.0f / sqrtf((float)problem.D);

  Sums sums = {};
  float top[4], total[4] = {}; // of each row: the largest score; this lane's part of the sum
  for (float& each : top) each = -INFINITY;
  for (int key = 0; key < end; key += SIDE) {
    if (drops)
      shared.kept.draw(problem, sight, head, first, SIDE, key, SIDE / 16, threadIdx.x, THREADS);
    Sums s = {};
    shared.addProducts(s, q, first, k, key);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int seen = sight.seen(first + 4 * y() + i) - key;
      float largest = top[i];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        s[i][j] = x() + 16 * j < seen ? s[i][j] * scale : -INFINITY;
        largest = fmaxf(largest, s[i][j]);
      }
      largest = rowMax(largest);
      const float shift = largest == -INFINITY ? 0.0f : largest; // no NaN from -inf + inf
      const float shrink = expf(top[i] - shift);
      top[i] = largest;
      total[i] *= shrink;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        sums[i][j] *= shrink;
        s[i][j] = expf(s[i][j] - shift);
        total[i] += s[i][j];
        if (drops && !shared.kept.at(4 * y() + i, x() + 16 * j)) s[i][j] = 0.0f;
      }
    }
    shared.addWeighted(sums, s, v, key, place.column);
  }

  float shares[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = first + 4 * y() + i;
    const bool seesAny = sight.seen(row) > 0;
    const float sum = rowSum(total[i]);
    shares[i] = seesAny ? problem.keptScale() / sum : 0.0f;
    if (problem.lse && place.column == 0 && x() == 0 && row < sight.Tq)
      problem.lse[(int64_t)head * sight.Tq + row] = seesAny ? top[i] + logf(sum) : 0.0f;
  }
  write(problem.rowsOf(problem.y, head, sight.Tq), first, place.column, sums, shares);
}

/** By the formulas of backward.cu. */
template <class F, bool ownsKeys>
__global__ void __launch_bounds__(THREADS, 2) backward(Backward<F> problem) {
  DYNAMIC_SHARED(float, memory);
  const Shared shared(memory);
  const Sight sight = problem.sight();
  const Place place(problem.heads, ownsKeys ? sight.Tk : sight.Tq, problem.D, !ownsKeys);
  const int head = place.head, first = place.first;
  const Rows<const F> q = problem.rowsOf(problem.q, head, sight.Tq);
  const Rows<const F> itsY = problem.rowsOf(problem.y, head, sight.Tq);
  const Rows<const F> dy = problem.rowsOf(problem.dy, head, sight.Tq);
  const Rows<const F> k = problem.rowsOf(problem.k, head, sight.Tk);
  const Rows<const F> v = problem.rowsOf(problem.v, head, sight.Tk);
  const bool drops = problem.threshold > 0;
  const float scale = 1.0f / sqrtf((float)problem.D), keptScale = problem.keptScale();
  const int begin = ownsKeys && sight.causal ? max(0, first - (sight.Tk - sight.Tq)) : 0;
  const int end = ownsKeys ? sight.Tq : sight.seen(min(first + SIDE, sight.Tq) - 1);

  Sums mySums = {}, valueSums = {}; // of dk, or dq; of dv
  for (int at = begin / SIDE * SIDE; at < end; at += SIDE) {
    const int query = ownsKeys ? at : first, key = ownsKeys ? first : at;
    if (ownsKeys || at == 0)
      for (int row = warp(); row < SIDE; row += THREADS / WARP) {
        const int i = query + row;
        float product = 0.0f;
        for (int d = lane(); i < sight.Tq && d < problem.D; d += WARP)
          product += toFloat(dy.data[i * dy.step + d]) * toFloat(itsY.data[i * itsY.step + d]);
        product = warpSum(product);
        if (lane() == 0) {
          shared.delta[row] = product;
          shared.lse[row] = i < sight.Tq ? problem.lse[(int64_t)head * sight.Tq + i] : 0.0f;
        }
      }
    if (drops)
      shared.kept.draw(problem, sight, head, query, SIDE, key, SIDE / 16, threadIdx.x, THREADS);
    Sums P = {}, S = {}; // at last w and dS, or their transposes
    shared.addProducts(P, ownsKeys ? k : q, first, ownsKeys ? q : k, at);
    shared.addProducts(S, ownsKeys ? v : dy, first, ownsKeys ? dy : v, at);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int mine = 4 * y() + i, their = x() + 16 * j;
        const int row = ownsKeys ? their : mine, column = ownsKeys ? mine : their;
        const bool isSeen = key + column < sight.seen(query + row);
        const bool isKept = !drops || shared.kept.at(row, column);
        const float probability = isSeen ? expf(P[i][j] * scale - shared.lse[row]) : 0.0f;
        P[i][j] = isKept ? probability : 0.0f;
        S[i][j] = probability * ((isKept ? S[i][j] * keptScale : 0.0f) - shared.delta[row]);
      }
    shared.addWeighted(mySums, S, ownsKeys ? q : k, at, place.column);
    if constexpr (ownsKeys) shared.addWeighted(valueSums, P, dy, at, place.column);
  }

  const float scales[4] = {scale, scale, scale, scale};
  const float keptScales[4] = {keptScale, keptScale, keptScale, keptScale};
  if constexpr (ownsKeys) {
    write(problem.rowsOf(problem.dk, head, sight.Tk), first, place.column, mySums, scales);
    write(problem.rowsOf(problem.dv, head, sight.Tk), first, place.column, valueSums, keptScales);
  } else {
    write(problem.rowsOf(problem.dq, head, sight.Tq), first, place.column, mySums, scales);
  }
}

Dim gridOf(int64_t heads, int64_t rows, int64_t D) {
  return Dim((unsigned)(heads * ceilDiv(rows, SIDE) * ceilDiv(D, SIDE)));
}

} // namespace

template <class F>
void plainForward(const Forward<F>& problem) {
  launch(forward<F>, gridOf(problem.heads, problem.Tq, problem.D), THREADS, SHARED_BYTES, problem);
}

template <class F>
void plainBackward(const Backward<F>& problem) {
  launch(backward<F, true>, gridOf(problem.heads, problem.Tk, problem.D), THREADS, SHARED_BYTES,
         problem);
  launch(backward<F, false>, gridOf(problem.heads, problem.Tq, problem.D), THREADS, SHARED_BYTES,
         problem);
}

template void plainForward(const Forward<f32>&);
template void plainForward(const Forward<bf16>&);
template void plainBackward(const Backward<f32>&);
template void plainBackward(const Backward<bf16>&);

} // namespace tinybard::cuda
