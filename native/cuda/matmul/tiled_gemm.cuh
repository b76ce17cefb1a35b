// The parts that our own GEMM kernels share: the division of c into tiles and of K into splits, the
// split-K reduction, and the epilogue that stores a finished tile.
#pragma once

#include <initializer_list>

#include "../block.cuh"
#include "activation.cuh"

namespace tinybard::cuda {

/** The division of a Gemm among blocks: a grid of [tileM, tileN] tiles, each in `splits` of K. */
struct TilePlan {
  int tileM, tileN;
  int gridM, gridN; // tiles along M, along N
  int splits;       // blocks that share the sum of one tile
  int64_t splitK;   // length of K in each split but the last, which may be shorter

  int tiles() const { return gridM * gridN; } // of one matrix
};

/** A Gemm with its tile plan and split-K buffers; passed to our own kernels by value. */
template <class F, class C>
struct TiledGemm : Gemm<F, C> {
  bool isInputAligned;  // a and b can be read in 16-byte accesses
  bool isOutputAligned; // so can bias, and everything laid out as c
  TilePlan plan{};
  float* partialSums = nullptr;       // the sums of each split, for reduceSplitK()
  unsigned* arrivalCounters = nullptr; // how many splits of each tile have finished

  explicit TiledGemm(const Gemm<F, C>& p)
      : Gemm<F, C>(p),
        isInputAligned(canVectorize<F>(p.lda | p.ldb | p.strideA | p.strideB, p.a, p.b)),
        isOutputAligned(
            canVectorize<F>(p.ldc | p.strideC, p.c, p.h, p.preActivation, p.bias)) {}
};

/** The tile of c and the range of K that a block computes. */
struct TileCoordinates {
  int batch;        // index of the matrix
  int tile;         // index of the tile over the whole batch
  int split;        // index of the split of K
  int row, column;  // of the tile's first element in c
  int kBegin, kEnd;
};

/**
 * Returns the coordinates of the current block. Blocks that run at the same time should share rows
 * of a and columns of b, so that these stay in the L2 cache: tiles are numbered in bands of 8 tile
 * rows, and down the columns of each band.
 */
template <class F, class C>
__device__ inline TileCoordinates tileCoordinates(const TiledGemm<F, C>& problem) {
  const TilePlan& plan = problem.plan;
  const int tiles = plan.gridM * plan.gridN;
  const int number = blockIdx.x % tiles;
  const int batchAndSplit = blockIdx.x / tiles;
  const int batch = batchAndSplit / plan.splits;
  const int split = batchAndSplit % plan.splits;
  const int band = number / (8 * plan.gridN) * 8; // its first tile row
  const int inBand = number % (8 * plan.gridN);
  const int height = min(8, plan.gridM - band);
  const int64_t k = split * plan.splitK;
  const int64_t end = k + plan.splitK;
  return {batch,
          batch * tiles + number,
          split,
          (band + inBand % height) * plan.tileM,
          inBand / height * plan.tileN,
          (int)k,
          (int)(end < problem.K ? end : problem.K)};
}

// ---- split-K

/**
 * Returns the number of floats that one block leaves in TiledGemm::partialSums: `count` vectors of
 * 4 sums and one row sum per thread.
 */
__host__ __device__ constexpr int64_t partialSumSize(int threads, int count) {
  return (int64_t)threads * (4 * count + 1);
}

/**
 * Adds up the sums of all splits of a tile. Each block writes its sums to partialSums, and the last
 * block of the tile to arrive reads those of all splits and adds them in the order of k: the result
 * does not depend on the order in which blocks finish. Returns true in that last block: its `sums`
 * and `rowSum` are then complete, and it has to store the tile. Without splits this does nothing
 * and returns true. All threads must call it.
 */
template <int threads, int count, class F, class C>
__device__ inline bool reduceSplitK(const TiledGemm<F, C>& problem, const TileCoordinates& at,
                                    float (&sums)[count][4], float& rowSum) {
  const int splits = problem.plan.splits;
  const int thread = threadIdx.x;
  if (splits == 1) return true;
  constexpr int64_t size = partialSumSize(threads, count);
  float* const tileSums = problem.partialSums + (int64_t)at.tile * splits * size;
  float* const ownSums = tileSums + at.split * size;
  auto* const ownPacks = reinterpret_cast<Pack<float>*>(ownSums);
#pragma unroll
  for (int i = 0; i < count; i++)
    ownPacks[i * threads + thread] = {{sums[i][0], sums[i][1], sums[i][2], sums[i][3]}};
  ownSums[4 * count * threads + thread] = rowSum;
  if (!isLastBlock(problem.arrivalCounters + at.tile, splits)) return false;
#pragma unroll
  for (int i = 0; i < count; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sums[i][j] = 0.0f;
  rowSum = 0.0f;
  for (int split = 0; split < splits; split++) {
    const float* splitSums = tileSums + split * size;
    const auto* splitPacks = reinterpret_cast<const Pack<float>*>(splitSums);
#pragma unroll
    for (int i = 0; i < count; i++) {
      const Pack<float> pack = splitPacks[i * threads + thread];
#pragma unroll
      for (int j = 0; j < 4; j++) sums[i][j] += pack.at[j];
    }
    rowSum += splitSums[4 * count * threads + thread];
  }
  return true;
}

// ---- loads and stores of W elements

/**
 * Loads W elements from p as floats. With `isAligned` it loads all W in 16-byte accesses, otherwise
 * only the first `count`, one by one; the others are 0.
 */
template <int W, class T>
__device__ inline void loadFloats(float (&x)[W], const T* p, bool isAligned, int count) {
  if constexpr (W % Pack<T>::size == 0) {
    if (isAligned) {
#pragma unroll
      for (int i = 0; i < W; i += Pack<T>::size) {
        const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(p + i);
#pragma unroll
        for (int j = 0; j < Pack<T>::size; j++) x[i + j] = toFloat(pack.at[j]);
      }
      return;
    }
  }
#pragma unroll
  for (int i = 0; i < W; i++) x[i] = i < count ? toFloat(p[i]) : 0.0f;
}

/** Stores W floats to p, rounded to T: all in 16-byte accesses, or the first `count` one by one. */
template <int W, class T>
__device__ inline void storeFloats(T* p, const float (&x)[W], bool isAligned, int count) {
  if constexpr (W % Pack<T>::size == 0) {
    if (isAligned) {
#pragma unroll
      for (int i = 0; i < W; i += Pack<T>::size) {
        Pack<T> pack;
#pragma unroll
        for (int j = 0; j < Pack<T>::size; j++) pack.at[j] = roundTo<T>(x[i + j]);
        *reinterpret_cast<Pack<T>*>(p + i) = pack;
      }
      return;
    }
  }
#pragma unroll
  for (int i = 0; i < W; i++)
    if (i < count) p[i] = roundTo<T>(x[i]);
}

// ---- epilogue

/**
 * Applies the epilogue of a Gemm (bias, activation or its derivative, accumulation) to W finished
 * sums of one row and stores them to c[row, column ...], within the bounds of c. Changes x.
 */
template <int W, class F, class C>
__device__ inline void applyEpilogue(const TiledGemm<F, C>& problem, int64_t batch, int64_t row,
                                     int64_t column, float (&x)[W]) {
  if (row >= problem.M || column >= problem.N) return;
  const int count = problem.N - column < W ? (int)(problem.N - column) : W;
  const bool isAligned = problem.isOutputAligned && count == W;
  const int64_t offset = batch * problem.strideC + row * problem.ldc + column;
  float operand[W];
  if (problem.bias) {
    loadFloats(operand, problem.bias + column, isAligned, count);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] += operand[i];
  }
  if (problem.preActivation) {
    loadFloats(operand, problem.preActivation + offset, isAligned, count);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = activateBackward(problem.activation, operand[i], x[i]);
  } else if (problem.activation != Activation::none) {
    if (problem.h) storeFloats(problem.h + offset, x, isAligned, count);
    activate(problem.activation, x);
  }
  if (problem.accumulate) {
    loadFloats(operand, problem.c + offset, isAligned, count);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] += operand[i];
  }
  storeFloats(problem.c + offset, x, isAligned, count);
}

/** Returns the row pitch of a tile of c in shared memory, padded against bank conflicts. */
__host__ __device__ constexpr int sharedPitch(int n) { return n + 8; }

/**
 * Applies the epilogue to a finished [m, n] tile that the block has put into shared memory, and
 * stores it. Because of the detour through shared memory each thread has consecutive elements of a
 * row, so that global accesses are 16 bytes wide and coalesced. All threads must call it.
 */
template <int m, int n, int threads, class F, class C>
__device__ inline void applyTileEpilogue(const TiledGemm<F, C>& problem, const TileCoordinates& at,
                                         const float* tile) {
  constexpr int W = Pack<F>::size;
  constexpr int vectorsPerRow = n / W;
  __syncthreads();
  for (int i = threadIdx.x; i < m * vectorsPerRow; i += threads) {
    const int row = i / vectorsPerRow;
    const int column = i % vectorsPerRow * W;
    float x[W];
    loadFloats(x, tile + row * sharedPitch(n) + column, true, W);
    applyEpilogue(problem, at.batch, at.row + row, at.column + column, x);
  }
}

// ---- the plan, on the host

/** A tile size that a kernel supports, with the multiply-adds per cycle of a multiprocessor. */
struct TileShape {
  int m, n;
  double rate;
};

/**
 * Returns the plan with the lowest estimated time on 132 multiprocessors (H100, H200). In cycles:
 * a multiprocessor runs its share of the blocks, each of which takes 2000 cycles plus the time of
 * its multiply-adds, `step` of K at a time; a block that has a multiprocessor to itself takes 1.5
 * times as long; with split-K, partial sums are written and read again at 64 bytes a cycle. The
 * plan depends only on the sizes, so equal products are always summed in the same order.
 */
inline TilePlan chooseTilePlan(std::initializer_list<TileShape> shapes, int step, int64_t M,
                               int64_t N, int64_t K, int64_t batch) {
  constexpr int64_t MULTIPROCESSORS = 132;
  constexpr int64_t MAX_SPLITS = 32;
  constexpr int64_t MAX_SPLIT_BLOCKS = 1024; // their partial sums take 64 MB
  TilePlan best{};
  double bestCycles = 0;
  const int64_t steps = K > step ? ceilDiv(K, step) : 1;
  for (const TileShape& shape : shapes) {
    const int64_t gridM = ceilDiv(M, shape.m);
    const int64_t gridN = N > 0 ? ceilDiv(N, shape.n) : 1;
    const double cyclesPerStep = (double)shape.m * shape.n * step / shape.rate;
    const double cyclesPerPartial = (double)shape.m * shape.n * sizeof(float) / 64;
    for (int64_t splits = 1; splits <= MAX_SPLITS; splits++) {
      const int64_t blocks = gridM * gridN * batch * splits;
      if (splits > 1 && (4 * splits > steps || blocks > MAX_SPLIT_BLOCKS)) break;
      const int64_t stepsPerSplit = ceilDiv(steps, splits);
      if (ceilDiv(steps, stepsPerSplit) != splits) continue; // the last split would be empty
      const double share =
          blocks > MULTIPROCESSORS ? (double)ceilDiv(blocks, MULTIPROCESSORS) : 1.5;
      const double cycles = share * (2000 + (double)stepsPerSplit * cyclesPerStep) +
                            (splits > 1 ? (double)(splits + 1) * cyclesPerPartial : 0);
      if (best.tileM > 0 && cycles >= bestCycles) continue;
      bestCycles = cycles;
      best = {shape.m, shape.n, (int)gridM, (int)gridN, (int)splits, stepsPerSplit * step};
    }
  }
  return best;
}

/** Sets the plan and allocates its split-K buffers; returns false if out of memory. */
template <class F, class C>
bool setPlan(TiledGemm<F, C>& problem, const TilePlan& plan, int threads) {
  problem.plan = plan;
  if (plan.splits == 1) return true;
  const int64_t tiles = plan.tiles() * problem.batch;
  const int64_t size = partialSumSize(threads, plan.tileM * plan.tileN / threads / 4);
  problem.partialSums = static_cast<float*>(workspace(tiles * plan.splits * size * sizeof(float)));
  problem.arrivalCounters = counters(tiles);
  return problem.partialSums && problem.arrivalCounters;
}

// ---- our own kernels

/** Runs on tensor cores; f32 inputs are rounded to tf32. */
template <class F, class C>
void gemmTensorCore(TiledGemm<F, C> problem);
/** Runs in full f32 precision on the ordinary (SIMT) cores. */
void gemmSimt(TiledGemm<f32, f32> problem);
/** Runs where M <= GEMV_MAX_ROWS, a is [M, K], b is stored as [N, K], and rowSums is null. */
template <class F, class C>
void gemv(const TiledGemm<F, C>& problem);
constexpr int64_t GEMV_MAX_ROWS = 8;

} // namespace tinybard::cuda
