// GEMM on tensor cores: bf16, or f32 rounded to tf32, with f32 sums. bench/ladder derives it step
// by step; this version adds transposed operands, edges, split-K and the epilogue.
#pragma once

#include "../tensor_core.cuh"
#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int THREADS = 128;

/**
 * The tile of one operand in shared memory: EXTENT of m (or n) by DEPTH of k (128 bytes of k). It
 * is row-major as the stored matrix is: rows run along k if `alongK`, otherwise along m. A row
 * consists of 16-byte chunks. Their order within the row depends on the row's number (an XOR
 * swizzle), so that the 8 rows of a chunk column, which ldmatrix reads at once, are in different
 * banks.
 */
template <class F, int EXTENT, bool alongK>
struct Operand {
  static constexpr int CHUNK = 16 / sizeof(F);  // elements
  static constexpr int DEPTH = 128 / sizeof(F);
  static constexpr int ROWS = alongK ? EXTENT : DEPTH;
  static constexpr int CHUNKS = (alongK ? DEPTH : EXTENT) / CHUNK; // in a row
  static constexpr int BYTES = EXTENT * 128;
  static constexpr int ROWS_PER_PASS = THREADS / CHUNKS; // that the block copies at once

  /** Returns the byte offset of a chunk in the tile. */
  static __device__ int chunkOffset(int row, int chunk) {
    const int swizzle = alongK || sizeof(F) == 2 ? row % 8 : row % 4 * 2;
    return (row * CHUNKS + (chunk ^ swizzle)) * 16;
  }

  /** One thread's share of the copies from global memory, tile after tile along k. */
  struct Source {
    const F* next;             // this thread's first chunk of the next tile
    int rowsLeft, columnsLeft; // from there to the end of the matrix

    /** Starts at (m, k) of a matrix that ends at (M, kEnd). */
    __device__ Source(const F* matrix, int64_t ld, int64_t m, int64_t M, int64_t k,
                      int64_t kEnd) {
      const int row = threadIdx.x / CHUNKS;
      const int column = threadIdx.x % CHUNKS * CHUNK;
      next = matrix + ((alongK ? m : k) + row) * ld + (alongK ? k : m) + column;
      rowsLeft = (int)((alongK ? M - m : kEnd - k) - row);
      columnsLeft = (int)((alongK ? kEnd - k : M - m) - column);
    }

    /** Starts to copy the next tile; elements outside the matrix become 0. */
    template <bool isAligned>
    __device__ void copy(char* tile, int64_t ld) {
      tile += chunkOffset(threadIdx.x / CHUNKS, threadIdx.x % CHUNKS);
      if (isAligned && rowsLeft > ROWS - ROWS_PER_PASS && columnsLeft >= CHUNK) {
#pragma unroll
        for (int i = 0; i < ROWS; i += ROWS_PER_PASS)
          copyAsync(tile + i * CHUNKS * 16, next + i * ld);
      } else {
        const int count = columnsLeft < 0 ? 0 : columnsLeft < CHUNK ? columnsLeft : CHUNK;
#pragma unroll(isAligned ? 1 : 4) // edge tiles are rare: save registers rather than time
        for (int i = 0; i < ROWS; i += ROWS_PER_PASS)
          copyChunk<isAligned>(tile + i * CHUNKS * 16, next + i * ld, i < rowsLeft ? count : 0);
      }
      next += alongK ? DEPTH : DEPTH * ld;
      (alongK ? columnsLeft : rowsLeft) -= DEPTH;
    }
  };

  /** Copies the first `count` elements of a chunk and fills it with zeros. */
  template <bool isAligned>
  static __device__ void copyChunk(char* chunk, const F* source, int count) {
    if constexpr (isAligned) {
      copyAsync(chunk, source, count * (int)sizeof(F));
    } else {
      Pack<F> pack;
#pragma unroll
      for (int i = 0; i < CHUNK; i++) pack.at[i] = i < count ? source[i] : roundTo<F>(0.0f);
      *reinterpret_cast<Pack<F>*>(chunk) = pack;
    }
  }

  /**
   * Loads the fragments of 16 of m by two chunks of k from (m, k) on: four blocks of 8 by a chunk,
   * where block (i, j) starts at (m + 8 i, k + j chunks). As operand a of mma, their order is
   * (0, 0), (1, 0), (0, 1), (1, 1). As operand b it is (0, 0), (0, 1), (1, 0), (1, 1): two for each
   * of two mma.
   */
  template <bool asA>
  static __device__ void loadFragments(uint32_t (&x)[4], const char* tile, int m, int k) {
    const int block = lane() / 8; // this lane passes the address of row r of this block
    const int r = lane() % 8;
    const int i = asA ? block % 2 : block / 2;
    const int j = asA ? block / 2 : block % 2;
    if constexpr (alongK) {
      ldmatrix(x, tile + m * 128 + chunkOffset(8 * i + r, k / CHUNK + j));
    } else if constexpr (sizeof(F) == 2) {
      ldmatrixTransposed(x, tile + k * CHUNKS * 16 + chunkOffset(8 * j + r, m / CHUNK + i));
    } else { // ldmatrix transposes 2-byte elements only
#pragma unroll
      for (int b = 0; b < 4; b++) {
        const int bi = asA ? b % 2 : b / 2;
        const int bj = asA ? b / 2 : b % 2;
        const int column = m + 8 * bi + lane() / 4;
        const int offset = (k + 4 * bj) * CHUNKS * 16 + chunkOffset(lane() % 4, column / 4) +
                           column % 4 * 4;
        x[b] = *reinterpret_cast<const uint32_t*>(tile + offset);
      }
    }
    if constexpr (sizeof(F) == 4) {
#pragma unroll
      for (int b = 0; b < 4; b++) x[b] = toTf32(__uint_as_float(x[b]));
    }
  }
};

/** c [16, 8] += a b on tensor cores, for 32 bytes of k. */
template <class F>
__device__ inline void multiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                   uint32_t b1) {
  const uint32_t b[2] = {b0, b1};
  if constexpr (sizeof(F) == 2) mma(c, a, b);
  else mmaTf32(c, a, b);
}

/** A fragment register of ones: two in bf16, one in tf32. */
template <class F>
constexpr uint32_t ONES = sizeof(F) == 2 ? 0x3f803f80 : 0x3f800000;

/**
 * c = epilogue(op(a) op(b)), and rowSums if requested.
 *
 * A block of four warps computes a tile of BM x BN, a warp a quarter of it, in registers. Tiles of
 * a and b, 128 bytes of k deep, come to shared memory by asynchronous copies, STAGES - 1 tiles
 * ahead of the one that is multiplied, so that the tensor cores do not wait for memory. Grid: one
 * block per tile and split of K. The dynamic shared memory, SHARED_BYTES, holds STAGES pairs of
 * tiles, and then the tile of c, [BM, PITCH] floats.
 */
template <class F, class C, int BM, int BN, int STAGES, bool transA, bool transB, bool isAligned>
struct TensorCoreKernel {
  using A = Operand<F, BM, !transA>;
  using B = Operand<F, BN, transB>;
  static constexpr int I = BM / 32; // fragments of 16 of m in a warp's quarter
  static constexpr int J = BN / 32; // and of 16 of n
  static constexpr int STAGE_BYTES = A::BYTES + B::BYTES;
  static constexpr int PITCH = sharedPitch(BN); // of the rows of c in shared memory
  static constexpr int SHARED_BYTES =
      STAGES * STAGE_BYTES > BM * PITCH * 4 ? STAGES * STAGE_BYTES : BM * PITCH * 4;

  /** sums += the product of a pair of tiles, for the warp's quarter, which starts at (m, n). */
  static __device__ void multiplyTiles(float (&sums)[2 * I * J][4], const char* tiles, int m,
                                       int n) {
#pragma unroll
    for (int k = 0; k < A::DEPTH; k += 2 * A::CHUNK) {
      uint32_t a[I][4], b[J][4];
#pragma unroll
      for (int i = 0; i < I; i++) A::template loadFragments<true>(a[i], tiles, m + 16 * i, k);
#pragma unroll
      for (int j = 0; j < J; j++)
        B::template loadFragments<false>(b[j], tiles + A::BYTES, n + 16 * j, k);
#pragma unroll
      for (int i = 0; i < I; i++)
#pragma unroll
        for (int j = 0; j < J; j++) {
          multiplyAdd<F>(sums[2 * (i * J + j)], a[i], b[j][0], b[j][1]);
          multiplyAdd<F>(sums[2 * (i * J + j) + 1], a[i], b[j][2], b[j][3]);
        }
    }
  }

  /** rowSums += the tile of a times a vector of ones. Each warp does 16 of every 64 rows. */
  static __device__ void addRowSums(float (&rowSums)[BM / 64][4], const char* tile) {
    for (int k = 0; k < A::DEPTH; k += 2 * A::CHUNK) {
#pragma unroll
      for (int i = 0; i < BM / 64; i++) {
        uint32_t a[4];
        A::template loadFragments<true>(a, tile, 64 * i + 16 * warp(), k);
        multiplyAdd<F>(rowSums[i], a, ONES<F>, ONES<F>);
      }
    }
  }

  static __device__ void run(const TiledGemm<F, C>& problem) {
    DYNAMIC_SHARED(char, shared);
    SHARED(float, sharedRowSums, [BM]);
    const TileCoordinates at = tileCoordinates(problem);
    const F* const matrixA = problem.a + at.batch * problem.strideA;
    const F* const matrixB = problem.b + at.batch * problem.strideB;
    typename A::Source a(matrixA, problem.lda, at.row, problem.M, at.kBegin, at.kEnd);
    typename B::Source b(matrixB, problem.ldb, at.column, problem.N, at.kBegin, at.kEnd);
    const int steps = (int)ceilDiv(at.kEnd - at.kBegin, A::DEPTH);
    const auto copy = [&](int step) {
      if (step < steps) {
        char* const tiles = shared + step % STAGES * STAGE_BYTES;
        a.template copy<isAligned>(tiles, problem.lda);
        b.template copy<isAligned>(tiles + A::BYTES, problem.ldb);
      }
      commitCopies();
    };
    const int m = warp() / 2 * (BM / 2); // the first row of this warp's quarter
    const int n = warp() % 2 * (BN / 2); // and its first column
    const bool computesRowSums = problem.rowSums && at.column == 0;
    float sums[2 * I * J][4] = {};
    float rowSums[BM / 64][4] = {};

    for (int i = 0; i < STAGES - 1; i++) copy(i);
    for (int i = 0; i < steps; i++) {
      waitForCopies<STAGES - 2>();
      __syncthreads(); // tile i has arrived, and all warps have read tile i - 1: reuse its buffer
      copy(i + STAGES - 1);
      multiplyTiles(sums, shared + i % STAGES * STAGE_BYTES, m, n);
      if (computesRowSums) addRowSums(rowSums, shared + i % STAGES * STAGE_BYTES);
    }

    const int g = lane() / 4; // as tensor_core.cuh defines them
    const int t = lane() % 4;
    if (t == 0) {
#pragma unroll
      for (int i = 0; i < BM / 64; i++) {
        sharedRowSums[64 * i + 16 * warp() + g] = rowSums[i][0];
        sharedRowSums[64 * i + 16 * warp() + g + 8] = rowSums[i][2];
      }
    }
    waitForCopies<0>();
    __syncthreads();
    const int r = threadIdx.x;
    float rowSum = r < BM ? sharedRowSums[r] : 0.0f;
    if (!reduceSplitK<THREADS>(problem, at, sums, rowSum)) return;
    if (computesRowSums && r < BM && at.row + r < problem.M) problem.rowSums[at.row + r] = rowSum;

    float* const c = reinterpret_cast<float*>(shared);
#pragma unroll
    for (int i = 0; i < I; i++)
#pragma unroll
      for (int j = 0; j < 2 * J; j++) {
        const float(&x)[4] = sums[2 * J * i + j];
        float* const fragment = c + (m + 16 * i + g) * PITCH + n + 8 * j + 2 * t;
        *reinterpret_cast<float2*>(fragment) = make_float2(x[0], x[1]);
        *reinterpret_cast<float2*>(fragment + 8 * PITCH) = make_float2(x[2], x[3]);
      }
    applyTileEpilogue<BM, BN, THREADS>(problem, at, c);
  }
};

template <class Kernel, class F, class C>
__global__ void __launch_bounds__(THREADS, 2) tensorCoreKernel(TiledGemm<F, C> problem) {
  Kernel::run(problem);
}

template <int BM, int BN, int STAGES, bool isAligned, class F, class C>
void launchTiles(TiledGemm<F, C>& problem, const TilePlan& plan) {
  if (!setPlan(problem, plan, THREADS)) return;
  const Dim grid((unsigned)(problem.batch * plan.tiles() * plan.splits));
  const auto run = [&](auto kernel) {
    using Kernel = decltype(kernel);
    launch(tensorCoreKernel<Kernel, F, C>, grid, Dim(THREADS), Kernel::SHARED_BYTES, problem);
  };
  if (problem.transA) {
    if (problem.transB) run(TensorCoreKernel<F, C, BM, BN, STAGES, true, true, isAligned>{});
    else run(TensorCoreKernel<F, C, BM, BN, STAGES, true, false, isAligned>{});
  } else {
    if (problem.transB) run(TensorCoreKernel<F, C, BM, BN, STAGES, false, true, isAligned>{});
    else run(TensorCoreKernel<F, C, BM, BN, STAGES, false, false, isAligned>{});
  }
}

} // namespace

template <class F, class C>
void gemmTensorCore(TiledGemm<F, C> problem) {
  constexpr double speed = sizeof(F) == 2 ? 1.0 : 0.5; // tf32 runs at half the rate of bf16
  constexpr int step = 128 / sizeof(F);
  const auto choose = [&](std::initializer_list<TileShape> shapes) {
    return chooseTilePlan(shapes, step, problem.M, problem.N, problem.K, problem.batch);
  };
  if (!problem.isInputAligned)
    return launchTiles<64, 64, 2, false>(problem, choose({{64, 64, 150}}));
  const TilePlan plan =
      choose({{128, 128, 1200 * speed}, {128, 64, 950 * speed}, {64, 64, 700 * speed}});
  if (plan.tileM == 64) launchTiles<64, 64, 4, true>(problem, plan);
  else if (plan.tileN == 64) launchTiles<128, 64, 4, true>(problem, plan);
  else launchTiles<128, 128, 3, true>(problem, plan);
}

} // namespace tinybard::cuda
