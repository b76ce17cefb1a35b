// Attention on the ordinary (SIMT) cores in f32 arithmetic, for any D: used for f32, and for heads
// too large for the tensor core kernels. The blocking is that of FlashAttention, and the backward
// pass follows the formulas in backward.cu.
//
// A block owns 64 queries or keys of a head and iterates over the rows of the other side, 64 at a
// time. Its 256 threads form a 16 x 16 grid (x, y); of the 64 x 64 scores a thread has 4 x 4, rows
// 4 y + i and columns x + 16 j. A block computes 64 columns of the results of its rows. If D is
// larger, other blocks compute the same scores for the next 64 columns.

#include "../block.cuh"
#include "dropout_mask.cuh"

namespace tinybard::cuda {
namespace {

constexpr int SIDE = 64;
constexpr int PITCH = SIDE + 4; // padded, so that neighboring rows start in different banks
constexpr int THREADS = 256;

/** A thread's 4 x 4 elements of a 64 x 64 matrix. */
using Fragment = float[4][4];

__device__ inline int x() { return threadIdx.x % 16; }
__device__ inline int y() { return threadIdx.x / 16; }

/** A 64 x 64 matrix of floats in shared memory. */
struct SharedTile {
  float* data;

  __device__ float* at(int row, int column) const { return data + row * PITCH + column; }
  __device__ float4 load4(int row, int column) const {
    return *reinterpret_cast<const float4*>(at(row, column));
  }

  /**
   * Copies 64 rows from `first` on and 64 columns from `column` on; elements that do not exist
   * become 0. All threads of the block share the work.
   */
  template <class F>
  __device__ void copyFrom(const HeadRows<const F>& rows, int first, int column) const {
    constexpr int SIZE = Pack<F>::size;
    constexpr int PACKS = SIDE / SIZE; // in a row
#pragma unroll
    for (int i = threadIdx.x; i < SIDE * PACKS; i += THREADS) {
      const int row = i / PACKS;
      const int d = i % PACKS * SIZE;
      const F* const source = rows.data + (first + row) * rows.stride + column + d;
      const int width = first + row < rows.count ? rows.D - column - d : 0;
      Pack<F> pack;
      if (rows.isAligned && width > 0) {
        pack = *reinterpret_cast<const Pack<F>*>(source);
      } else {
#pragma unroll
        for (int j = 0; j < SIZE; j++) pack.at[j] = j < width ? source[j] : roundTo<F>(0.0f);
      }
#pragma unroll
      for (int j = 0; j < SIZE; j++) *at(row, d + j) = toFloat(pack.at[j]);
    }
  }

  /** Stores scores transposed: row j of the tile is column j of the scores. */
  __device__ void storeTransposed(const Fragment& s) const {
#pragma unroll
    for (int j = 0; j < 4; j++)
      *reinterpret_cast<float4*>(at(x() + 16 * j, 4 * y())) =
          make_float4(s[0][j], s[1][j], s[2][j], s[3][j]);
  }
};

/**
 * The rows of the other side in a tile that a thread's four own rows are visible to: begin + i to
 * end + i - 1 for row 4 y + i, as far as the tile has these rows.
 */
struct VisibleRows {
  int begin = -3;
  int end = SIDE;

  /** `query` and `key` are the first ones of the tile. */
  __device__ VisibleRows(const CausalMask& mask, int query, int key, bool ownsKeys) {
    const int diagonal = query - key + mask.Tk - mask.Tq; // the last key of the first query
    if (mask.causal && ownsKeys) begin = 4 * y() - diagonal;
    if (mask.causal && !ownsKeys) end = 4 * y() + diagonal + 1;
  }
  __device__ bool areAll() const { return begin + 3 <= 0 && end >= SIDE; }
  __device__ bool has(int i, int r) const { return r >= begin + i && r < end + i; }
};

constexpr size_t SHARED_BYTES = // of SharedMemory
    (3 * SIDE * PITCH + 2 * SIDE) * sizeof(float) + SIDE * SIDE / 16 * sizeof(uint16_t);

/** The shared memory of a block, and the two matrix products that go through it. */
struct SharedMemory {
  SharedTile a, b, weights;
  float *lse, *delta; // of 64 queries
  DropoutMask dropoutMask;

  __device__ explicit SharedMemory(float* data)
      : a{data}, b{data + SIDE * PITCH}, weights{data + 2 * SIDE * PITCH},
        lse(data + 3 * SIDE * PITCH), delta(lse + SIDE),
        dropoutMask{reinterpret_cast<uint16_t*>(delta + SIDE), SIDE / 16} {}

  /** s_ij += rowsA_i . rowsB_j, for 64 rows of each. */
  template <class F>
  __device__ void addDotProducts(Fragment& s, const HeadRows<const F>& rowsA, int firstA,
                                 const HeadRows<const F>& rowsB, int firstB) const {
    for (int column = 0; column < rowsA.D; column += SIDE) {
      __syncthreads(); // all threads have read the previous tiles
      a.copyFrom(rowsA, firstA, column);
      b.copyFrom(rowsB, firstB, column);
      __syncthreads();
      const int width = min(SIDE, rowsA.D - column);
      for (int d = 0; d < width; d += 4) {
        float4 p[4], q[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          p[i] = a.load4(4 * y() + i, d);
          q[i] = b.load4(x() + 16 * i, d);
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

  /**
   * sums += s rows, for 64 rows and 64 of their columns from `column` on. A thread has rows
   * 4 y + i and columns 4 x + j of the sums. s is 0 for the rows that are not `visible`, which may
   * be NaN and add nothing.
   */
  template <class F>
  __device__ void addWeightedRows(Fragment& sums, const Fragment& s, const HeadRows<const F>& rows,
                                  int first, int column, const VisibleRows& visible) const {
    __syncthreads();
    weights.storeTransposed(s);
    b.copyFrom(rows, first, column);
    __syncthreads();
    const auto addRow = [&](int r, bool isWhole) {
      const float4 p = weights.load4(r, 4 * y());
      const float4 q = b.load4(r, 4 * x());
      const float w[4] = {p.x, p.y, p.z, p.w};
      const float z[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!isWhole && !visible.has(i, r)) continue;
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] += w[i] * z[j];
      }
    };
    if (visible.areAll()) {
#pragma unroll 4
      for (int r = 0; r < SIDE; r++) addRow(r, true);
    } else {
      const int end = min(SIDE, visible.end + 3);
      for (int r = max(0, visible.begin); r < end; r++) addRow(r, false);
    }
  }
};

/** Stores sums, row i times factors[i], to rows from `first` on and columns from `column` on. */
template <class F>
__device__ inline void storeRows(const HeadRows<F>& rows, int first, int column,
                                 const Fragment& sums, const float (&factors)[4]) {
  const int d = column + 4 * x();
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = first + 4 * y() + i;
    if (row >= rows.count) continue;
    F* const target = rows.data + row * rows.stride + d;
    if (sizeof(F) == 4 && rows.isAligned && d < rows.D) {
      Pack<float> pack;
#pragma unroll
      for (int j = 0; j < 4; j++) pack.at[j] = sums[i][j] * factors[i];
      *reinterpret_cast<Pack<float>*>(target) = pack;
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (d + j < rows.D) target[j] = roundTo<F>(sums[i][j] * factors[i]);
    }
  }
}

/** The head, the own rows and the columns that a block computes. */
struct BlockCoordinates {
  int head, first, column;

  /** With `reversed`, blocks start with the last rows: causal queries that attend to most keys. */
  __device__ BlockCoordinates(int headCount, int rows, int D, bool reversed) {
    const int columnTiles = (int)ceilDiv(D, SIDE);
    const int rowTiles = (int)ceilDiv(rows, SIDE);
    const int tile = blockIdx.x / headCount / columnTiles;
    head = blockIdx.x % headCount;
    first = (reversed ? rowTiles - 1 - tile : tile) * SIDE;
    column = blockIdx.x / headCount % columnTiles * SIDE;
  }
};

/** The sum over the 16 lanes that share a row of scores. */
__device__ inline float rowSum(float a) {
  for (int step = 8; step > 0; step /= 2) a += __shfl_xor_sync(FULL_MASK, a, step);
  return a;
}
/** The maximum over these lanes. */
__device__ inline float rowMax(float a) {
  for (int step = 8; step > 0; step /= 2) a = fmaxf(a, __shfl_xor_sync(FULL_MASK, a, step));
  return a;
}

/**
 * y = dropout(softmax(q k^T / sqrt(D))) v, and lse, for 64 queries of a head and 64 columns, by an
 * online softmax. Grid: makeGrid(headCount, Tq, D). Dynamic shared memory: SHARED_BYTES.
 */
template <class F>
__global__ void __launch_bounds__(THREADS, 2) simtForwardKernel(AttentionForward<F> problem) {
  if (!problem.fitsCapacity()) return; // the same in all threads
  DYNAMIC_SHARED(float, memory);
  const SharedMemory shared(memory);
  const CausalMask mask = problem.mask();
  const BlockCoordinates at(problem.headCount, mask.Tq, problem.D, true);
  const int head = at.head;
  const int first = at.first;
  const HeadRows<const F> q = problem.headRows(problem.q, head, mask.Tq);
  const HeadRows<const F> k = problem.headRows(problem.k, head, mask.Tk);
  const HeadRows<const F> v = problem.headRows(problem.v, head, mask.Tk);
  const int end = mask.visibleKeys(min(first + SIDE, mask.Tq) - 1);
  const bool hasDropout = problem.threshold > 0;
  const float scale = 1.0f / sqrtf((float)problem.D);

  Fragment sums = {};  // sum(e^(score - maxScore) v)
  float maxScore[4];   // of each row, so far
  float total[4] = {}; // this lane's part of sum(e^(score - maxScore))
  for (float& score : maxScore) score = -INFINITY;
  for (int key = 0; key < end; key += SIDE) {
    if (hasDropout)
      shared.dropoutMask.generate(problem, mask, head, first, SIDE, key, SIDE / 16, threadIdx.x,
                                  THREADS);
    Fragment s = {};
    shared.addDotProducts(s, q, first, k, key);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int visible = mask.visibleKeys(first + 4 * y() + i) - key;
      float newMax = maxScore[i];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        s[i][j] = x() + 16 * j < visible ? s[i][j] * scale : -INFINITY;
        newMax = fmaxf(newMax, s[i][j]);
      }
      newMax = rowMax(newMax);
      const float shift = newMax == -INFINITY ? 0.0f : newMax; // no NaN from -inf + inf
      const float rescale = expf(maxScore[i] - shift);
      maxScore[i] = newMax;
      total[i] *= rescale;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        sums[i][j] *= rescale;
        s[i][j] = expf(s[i][j] - shift);
        total[i] += s[i][j];
        if (hasDropout && !shared.dropoutMask.isKept(4 * y() + i, x() + 16 * j)) s[i][j] = 0.0f;
      }
    }
    const VisibleRows visible(mask, first, key, false);
    shared.addWeightedRows(sums, s, v, key, at.column, visible);
  }

  float factors[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int row = first + 4 * y() + i;
    const bool hasKeys = mask.visibleKeys(row) > 0;
    const float sum = rowSum(total[i]);
    factors[i] = hasKeys ? problem.dropoutScale() / sum : 0.0f;
    if (problem.lse && at.column == 0 && x() == 0 && row < mask.Tq)
      problem.lse[(int64_t)head * mask.Tq + row] = hasKeys ? maxScore[i] + logf(sum) : 0.0f;
  }
  storeRows(problem.headRows(problem.y, head, mask.Tq), first, at.column, sums, factors);
}

/**
 * dk and dv of 64 keys if ownsKeys, otherwise dq of 64 queries, 64 columns of them. Grid:
 * makeGrid(headCount, Tk or Tq, D). Dynamic shared memory: SHARED_BYTES.
 */
template <class F, bool ownsKeys>
__global__ void __launch_bounds__(THREADS, 2) simtBackwardKernel(AttentionBackward<F> problem) {
  DYNAMIC_SHARED(float, memory);
  const SharedMemory shared(memory);
  const CausalMask mask = problem.mask();
  const BlockCoordinates at(problem.headCount, ownsKeys ? mask.Tk : mask.Tq, problem.D, !ownsKeys);
  const int head = at.head;
  const int first = at.first;
  const HeadRows<const F> q = problem.headRows(problem.q, head, mask.Tq);
  const HeadRows<const F> attended = problem.headRows(problem.y, head, mask.Tq);
  const HeadRows<const F> dy = problem.headRows(problem.dy, head, mask.Tq);
  const HeadRows<const F> k = problem.headRows(problem.k, head, mask.Tk);
  const HeadRows<const F> v = problem.headRows(problem.v, head, mask.Tk);
  const bool hasDropout = problem.threshold > 0;
  const float scale = 1.0f / sqrtf((float)problem.D);
  const float dropoutScale = problem.dropoutScale();
  const int begin = ownsKeys && mask.causal ? max(0, first - (mask.Tk - mask.Tq)) : 0;
  const int end = ownsKeys ? mask.Tq : mask.visibleKeys(min(first + SIDE, mask.Tq) - 1);

  Fragment ownSums = {}; // of dk or dq
  Fragment dvSums = {};
  for (int other = begin / SIDE * SIDE; other < end; other += SIDE) {
    const int query = ownsKeys ? other : first;
    const int key = ownsKeys ? first : other;
    if (ownsKeys || other == 0) {
      for (int row = warp(); row < SIDE; row += THREADS / WARP) {
        const int i = query + row;
        float product = 0.0f;
        for (int d = lane(); i < mask.Tq && d < problem.D; d += WARP)
          product +=
              toFloat(dy.data[i * dy.stride + d]) * toFloat(attended.data[i * attended.stride + d]);
        product = warpSum(product);
        if (lane() == 0) {
          shared.delta[row] = product;
          shared.lse[row] = i < mask.Tq ? problem.lse[(int64_t)head * mask.Tq + i] : 0.0f;
        }
      }
    }
    if (hasDropout)
      shared.dropoutMask.generate(problem, mask, head, query, SIDE, key, SIDE / 16, threadIdx.x,
                                  THREADS);
    Fragment P = {};  // scores, then w without the dropout scale; transposed if ownsKeys
    Fragment dP = {}; // dy . v, then dS; likewise
    shared.addDotProducts(P, ownsKeys ? k : q, first, ownsKeys ? q : k, other);
    shared.addDotProducts(dP, ownsKeys ? v : dy, first, ownsKeys ? dy : v, other);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int ownRow = 4 * y() + i;
        const int otherRow = x() + 16 * j;
        const int row = ownsKeys ? otherRow : ownRow; // the query
        const int column = ownsKeys ? ownRow : otherRow; // and the key
        const bool isVisible = mask.isVisible(query + row, key + column);
        const bool isKept = !hasDropout || shared.dropoutMask.isKept(row, column);
        const float probability = expf(P[i][j] * scale - shared.lse[row]);
        const float dropped = isKept ? dP[i][j] * dropoutScale : zeroTimes(dP[i][j]);
        P[i][j] = !isVisible ? 0.0f : isKept ? probability : zeroTimes(probability);
        dP[i][j] = isVisible ? probability * (dropped - shared.delta[row]) : 0.0f;
      }
    const VisibleRows visible(mask, query, key, ownsKeys);
    shared.addWeightedRows(ownSums, dP, ownsKeys ? q : k, other, at.column, visible);
    if constexpr (ownsKeys) shared.addWeightedRows(dvSums, P, dy, other, at.column, visible);
  }

  const float scales[4] = {scale, scale, scale, scale};
  const float dropoutScales[4] = {dropoutScale, dropoutScale, dropoutScale, dropoutScale};
  if constexpr (ownsKeys) {
    const HeadRows<F> dk = problem.headRows(problem.dk, head, mask.Tk);
    const HeadRows<F> dv = problem.headRows(problem.dv, head, mask.Tk);
    storeRows(dk, first, at.column, ownSums, scales);
    storeRows(dv, first, at.column, dvSums, dropoutScales);
  } else {
    const HeadRows<F> dq = problem.headRows(problem.dq, head, mask.Tq);
    storeRows(dq, first, at.column, ownSums, scales);
  }
}

/** A block for each head, 64 rows and 64 columns. */
Dim makeGrid(int64_t headCount, int64_t rows, int64_t D) {
  return Dim((unsigned)(headCount * ceilDiv(rows, SIDE) * ceilDiv(D, SIDE)));
}

} // namespace

template <class F>
void simtForward(const AttentionForward<F>& problem) {
  const Dim grid = makeGrid(problem.headCount, problem.Tq, problem.D);
  launch(simtForwardKernel<F>, grid, Dim(THREADS), SHARED_BYTES, problem);
}

template <class F>
void simtBackward(const AttentionBackward<F>& problem) {
  const Dim keyGrid = makeGrid(problem.headCount, problem.Tk, problem.D);
  const Dim queryGrid = makeGrid(problem.headCount, problem.Tq, problem.D);
  launch(simtBackwardKernel<F, true>, keyGrid, Dim(THREADS), SHARED_BYTES, problem);
  launch(simtBackwardKernel<F, false>, queryGrid, Dim(THREADS), SHARED_BYTES, problem);
}

template void simtForward(const AttentionForward<f32>&);
template void simtForward(const AttentionForward<bf16>&);
template void simtBackward(const AttentionBackward<f32>&);
template void simtBackward(const AttentionBackward<bf16>&);

} // namespace tinybard::cuda
