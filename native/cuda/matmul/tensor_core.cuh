// The product on tensor cores: of bf16, or of f32 rounded to tf32. Four warps share a tile of c;
// each has a quarter of it in registers. Tiles of a and b, 128 bytes of k deep, come to shared
// memory by asynchronous copies, some stages ahead of the one that is multiplied.
#pragma once

#include "../tensor_core.cuh"
#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int THREADS = 128;

/**
 * An operand's tile in shared memory: EXTENT of m (or n) by DEPTH of k, by rows as the matrix is
 * stored: along k, or across it. Rows consist of chunks of 16 bytes. Those of a row change places
 * by its number (swizzle), so that what a warp reads at once, 8 rows' chunks of one column, lies in
 * different banks.
 */
template <class F, int EXTENT, bool alongK>
struct Operand {
  static constexpr int CHUNK = 16 / sizeof(F), DEPTH = 128 / sizeof(F);
  static constexpr int ROWS = alongK ? EXTENT : DEPTH;
  static constexpr int CHUNKS = (alongK ? DEPTH : EXTENT) / CHUNK; // in a row
  static constexpr int BYTES = EXTENT * 128;
  static constexpr int AT_ONCE = THREADS / CHUNKS; // rows that all threads copy

  /** Where a chunk lies. */
  static __device__ int place(int row, int chunk) {
    const int turn = alongK || sizeof(F) == 2 ? row % 8 : row % 4 * 2;
    return (row * CHUNKS + (chunk ^ turn)) * 16;
  }

  /** One thread's share of the copies, tile after tile along k. */
  struct Source {
    const F* from;     // its first chunk of the next tile
    int rows, columns; // how much of the matrix is left from there on

    /** Begins at (m, k) of the matrix, which ends at (M, end). */
    __device__ Source(const F* matrix, int64_t ld, int64_t m, int64_t M, int64_t k, int64_t end) {
      const int row = threadIdx.x / CHUNKS, column = threadIdx.x % CHUNKS * CHUNK;
      from = matrix + ((alongK ? m : k) + row) * ld + (alongK ? k : m) + column;
      rows = (int)((alongK ? M - m : end - k) - row);
      columns = (int)((alongK ? end - k : M - m) - column);
    }

    /** Begins to copy the next tile, with zeros where there is no matrix. */
    template <bool byPacks>
    __device__ void copy(char* tile, int64_t ld) {
      tile += place(threadIdx.x / CHUNKS, threadIdx.x % CHUNKS);
      if (byPacks && rows > ROWS - AT_ONCE && columns >= CHUNK) {
#pragma unroll
        for (int i = 0; i < ROWS; i += AT_ONCE) copyAsync(tile + i * CHUNKS * 16, from + i * ld);
      } else {
        const int wide = columns < 0 ? 0 : columns < CHUNK ? columns : CHUNK;
#pragma unroll(byPacks ? 1 : 4) // at the edges there is time, but no register to spare
        for (int i = 0; i < ROWS; i += AT_ONCE)
          copyChunk<byPacks>(tile + i * CHUNKS * 16, from + i * ld, i < rows ? wide : 0);
      }
      from += alongK ? DEPTH : DEPTH * ld;
      (alongK ? columns : rows) -= DEPTH;
    }
  };

  /** The first `count` elements of a chunk, and zeros. */
  template <bool byPacks>
  static __device__ void copyChunk(char* to, const F* from, int count) {
    if constexpr (byPacks) {
      copyAsync(to, from, count * (int)sizeof(F));
    } else {
      Pack<F> pack;
#pragma unroll
      for (int i = 0; i < CHUNK; i++) pack.at[i] = i < count ? from[i] : roundTo<F>(0.0f);
      *reinterpret_cast<Pack<F>*>(to) = pack;
    }
  }

  /**
   * What mma wants of 16 of m and two chunks of k, as four blocks of 8 by a chunk. In the order of
   * a: (0, 0), (8, 0), (0, 1), (8, 1); of b: (0, 0), (0, 1), (8, 0), (8, 1), two for each mma.
   */
  template <bool asA>
  static __device__ void read(uint32_t (&x)[4], const char* tile, int m, int k) {
    const int block = lane() / 8, r = lane() % 8; // this lane's row of which block
    const int i = asA ? block % 2 : block / 2, j = asA ? block / 2 : block % 2;
    if constexpr (alongK) {
      ldmatrix(x, tile + m * 128 + place(8 * i + r, k / CHUNK + j));
    } else if constexpr (sizeof(F) == 2) {
      ldmatrixTransposed(x, tile + k * CHUNKS * 16 + place(8 * j + r, m / CHUNK + i));
    } else { // ldmatrix transposes elements of 2 bytes only
#pragma unroll
      for (int b = 0; b < 4; b++) {
        const int ii = asA ? b % 2 : b / 2, jj = asA ? b / 2 : b % 2;
        const int mm = m + 8 * ii + lane() / 4;
        const int at = (k + 4 * jj) * CHUNKS * 16 + place(lane() % 4, mm / 4) + mm % 4 * 4;
        x[b] = *reinterpret_cast<const uint32_t*>(tile + at);
      }
    }
    if constexpr (sizeof(F) == 4) {
#pragma unroll
      for (int b = 0; b < 4; b++) x[b] = toTf32(__uint_as_float(x[b]));
    }
  }
};

template <class F>
__device__ inline void multiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                   uint32_t b1) {
  const uint32_t b[2] = {b0, b1};
  if constexpr (sizeof(F) == 2) mma(c, a, b);
  else mmaTf32(c, a, b);
}

/** Two floats of 1 in bf16, or one in tf32. */
template <class F>
constexpr uint32_t ONES = sizeof(F) == 2 ? 0x3f803f80 : 0x3f800000;

template <class F, class C, int BM, int BN, int STAGES, bool transA, bool transB, bool byPacks>
struct TensorProduct {
  using A = Operand<F, BM, !transA>;
  using B = Operand<F, BN, transB>;
  static constexpr int I = BM / 32, J = BN / 32;   // pieces of 16 of m, of n, that a warp has
  static constexpr int STAGE = A::BYTES + B::BYTES;
  static constexpr int WIDTH = sharedPitch(BN);        // of c's rows in shared memory
  static constexpr int SHARED_BYTES =
      STAGES * STAGE > BM * WIDTH * 4 ? STAGES * STAGE : BM * WIDTH * 4;

  /** sums += the product of the tiles; a warp's begin at (m, n). */
  static __device__ void step(float (&sums)[2 * I * J][4], const char* tiles, int m, int n) {
#pragma unroll
    for (int k = 0; k < A::DEPTH; k += 2 * A::CHUNK) {
      uint32_t a[I][4], b[J][4];
#pragma unroll
      for (int i = 0; i < I; i++) A::template read<true>(a[i], tiles, m + 16 * i, k);
#pragma unroll
      for (int j = 0; j < J; j++) B::template read<false>(b[j], tiles + A::BYTES, n + 16 * j, k);
#pragma unroll
      for (int i = 0; i < I; i++)
#pragma unroll
        for (int j = 0; j < J; j++) {
          multiplyAdd<F>(sums[2 * (i * J + j)], a[i], b[j][0], b[j][1]);
          multiplyAdd<F>(sums[2 * (i * J + j) + 1], a[i], b[j][2], b[j][3]);
        }
    }
  }

  /** rowSums += a's tile times ones; each warp has 16 rows of every 64. */
  static __device__ void addRows(float (&rowSums)[BM / 64][4], const char* tile) {
    for (int k = 0; k < A::DEPTH; k += 2 * A::CHUNK) {
#pragma unroll
      for (int i = 0; i < BM / 64; i++) {
        uint32_t a[4];
        A::template read<true>(a, tile, 64 * i + 16 * warp(), k);
        multiplyAdd<F>(rowSums[i], a, ONES<F>, ONES<F>);
      }
    }
  }

  static __device__ void run(const TiledGemm<F, C>& task) {
    DYNAMIC_SHARED(char, shared);
    SHARED(float, rows, [BM]);
    const TileCoordinates at = tileCoordinates(task);
    typename A::Source a(task.a + at.batch * task.strideA, task.lda, at.row, task.M, at.k, at.end);
    typename B::Source b(task.b + at.batch * task.strideB, task.ldb, at.column, task.N, at.k, at.end);
    const int steps = (int)ceilDiv(at.end - at.k, A::DEPTH);
    const auto copy = [&](int step) {
      if (step < steps) {
        char* const tiles = shared + step % STAGES * STAGE;
        a.template copy<byPacks>(tiles, task.lda);
        b.template copy<byPacks>(tiles + A::BYTES, task.ldb);
      }
      commitCopies();
    };
    const int m = warp() / 2 * (BM / 2), n = warp() % 2 * (BN / 2); // this warp's quarter
    const bool sumsRows = task.rowSums && at.column == 0;
    float sums[2 * I * J][4] = {}, rowSums[BM / 64][4] = {};

    for (int i = 0; i < STAGES - 1; i++) copy(i);
    for (int i = 0; i < steps; i++) {
      waitForCopies<STAGES - 2>();
      __syncthreads(); // step i has come, and all have done with step i - 1, whose place is taken
      copy(i + STAGES - 1);
      step(sums, shared + i % STAGES * STAGE, m, n);
      if (sumsRows) addRows(rowSums, shared + i % STAGES * STAGE);
    }

    const int g = lane() / 4, t = lane() % 4;
    if (t == 0) {
#pragma unroll
      for (int i = 0; i < BM / 64; i++) {
        rows[64 * i + 16 * warp() + g] = rowSums[i][0];
        rows[64 * i + 16 * warp() + g + 8] = rowSums[i][2];
      }
    }
    waitForCopies<0>();
    __syncthreads();
    const int r = threadIdx.x;
    float rowSum = r < BM ? rows[r] : 0.0f;
    if (!reduceSplitK<THREADS>(task, at, sums, rowSum)) return;
    if (sumsRows && r < BM && at.row + r < task.M) task.rowSums[at.row + r] = rowSum;

    float* const c = reinterpret_cast<float*>(shared);
#pragma unroll
    for (int i = 0; i < I; i++)
#pragma unroll
      for (int j = 0; j < 2 * J; j++) {
        const float(&x)[4] = sums[2 * J * i + j];
        float* const to = c + (m + 16 * i + g) * WIDTH + n + 8 * j + 2 * t;
        *reinterpret_cast<float2*>(to) = make_float2(x[0], x[1]);
        *reinterpret_cast<float2*>(to + 8 * WIDTH) = make_float2(x[2], x[3]);
      }
    applyTileEpilogue<BM, BN, THREADS>(task, at, c);
  }
};

template <class Kernel, class F, class C>
__global__ void __launch_bounds__(THREADS, 2) tensorProduct(TiledGemm<F, C> task) {
  Kernel::run(task);
}

template <int BM, int BN, int STAGES, bool byPacks, class F, class C>
void launchTiles(TiledGemm<F, C>& task, const TilePlan& plan) {
  if (!prepare(task, plan, THREADS)) return;
  const Dim grid((unsigned)(task.batch * plan.tiles() * plan.splits));
  const auto run = [&](auto kernel) {
    using Kernel = decltype(kernel);
    launch(tensorProduct<Kernel, F, C>, grid, Dim(THREADS), Kernel::SHARED_BYTES, task);
  };
  if (task.transA) {
    if (task.transB) run(TensorProduct<F, C, BM, BN, STAGES, true, true, byPacks>{});
    else run(TensorProduct<F, C, BM, BN, STAGES, true, false, byPacks>{});
  } else {
    if (task.transB) run(TensorProduct<F, C, BM, BN, STAGES, false, true, byPacks>{});
    else run(TensorProduct<F, C, BM, BN, STAGES, false, false, byPacks>{});
  }
}

} // namespace

template <class F, class C>
void gemmTensorCore(TiledGemm<F, C> task) {
  constexpr double fast = sizeof(F) == 2 ? 1.0 : 0.5; // tf32 takes twice the time
  constexpr int step = 128 / sizeof(F);
  if (!task.isInputAligned)
    return launchTiles<64, 64, 2, false>(
        task, chooseTilePlan({{64, 64, 150}}, step, task.M, task.N, task.K, task.batch));
  const TilePlan plan = chooseTilePlan({{128, 128, 1200 * fast}, {128, 64, 950 * fast}, {64, 64, 700 * fast}},
                          step, task.M, task.N, task.K, task.batch);
  if (plan.m == 64) launchTiles<64, 64, 4, true>(task, plan);
  else if (plan.n == 64) launchTiles<128, 64, 4, true>(task, plan);
  else launchTiles<128, 128, 3, true>(task, plan);
}

} // namespace tinybard::cuda
