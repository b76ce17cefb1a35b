// A product as our own kernels take it: how it is plan into tiles, where a block finds its own, how
// the parts of a sum that was split are reduceSplitK, and what becomes of a tile when it is complete.
#pragma once

#include <initializer_list>

#include "../block.cuh"
#include "activation.cuh"

namespace tinybard::cuda {

/** How a product is plan: c into tiles [m, n], K into splits of `depth`, but for the last. */
struct TilePlan {
  int m, n;
  int rows, columns, splits; // how many tiles there are
  int64_t depth;

  int tiles() const { return rows * columns; }
};

/** A product, and what our own kernels have to know beside it. */
template <class F, class C>
struct TiledGemm : Gemm<F, C> {
  bool isInputAligned;  // a and b can be read by packs,
  bool isOutputAligned; // and whatever lies as c does, and the bias
  TilePlan plan{};
  float* parts = nullptr;      // what the splits of a tile leave there,
  unsigned* arrivalCounters = nullptr; // and how many have

  explicit TiledGemm(const Gemm<F, C>& p)
      : Gemm<F, C>(p),
        isInputAligned(canVectorize<F>(p.lda | p.ldb | p.strideA | p.strideB, p.a, p.b)),
        isOutputAligned(canVectorize<F>(p.ldc | p.strideC, p.c, p.h, p.preActivation, p.bias)) {}
};

/** Which tile, and which part of its sums, are a block's. */
struct TileCoordinates {
  int batch, tile, split; // the tile's number, over all of the batch
  int row, column;        // where it begins
  int k, end;             // its part of K
};

/**
 * Tiles that run together should share rows of a and columns of b, to find them in the L2 cache:
 * they are numbered in bands of 8 tiles' height, down each column of the band.
 */
template <class F, class C>
__device__ inline TileCoordinates tileCoordinates(const TiledGemm<F, C>& task) {
  const TilePlan& plan = task.plan;
  const int tiles = plan.rows * plan.columns, number = blockIdx.x % tiles;
  const int part = blockIdx.x / tiles, batch = part / plan.splits, split = part % plan.splits;
  const int band = number / (8 * plan.columns) * 8, inBand = number % (8 * plan.columns);
  const int height = min(8, plan.rows - band);
  const int64_t k = split * plan.depth, end = k + plan.depth;
  return {batch,
          batch * tiles + number,
          split,
          (band + inBand % height) * plan.m,
          inBand / height * plan.n,
          (int)k,
          (int)(end < task.K ? end : task.K)};
}

// ---- the sums of a tile

/** How many floats of TiledGemm::parts a block of `threads` takes, each having `count` sums by fours. */
__host__ __device__ constexpr int64_t partSize(int threads, int count) {
  return (int64_t)threads * (4 * count + 1);
}

/**
 * Where K is split: leaves this block's sums for the last block of the tile to come, which adds up
 * those of all, in their order. Whether this is that block, and so the one to finish the tile.
 */
template <int threads, int count, class F, class C>
__device__ inline bool reduceSplitK(const TiledGemm<F, C>& task, const TileCoordinates& at, float (&sums)[count][4],
                              float& rowSum) {
  const int splits = task.plan.splits, thread = threadIdx.x;
  if (splits == 1) return true;
  constexpr int64_t size = partSize(threads, count);
  float* const parts = task.parts + (int64_t)at.tile * splits * size;
  float* const own = parts + at.split * size;
  auto* const packs = reinterpret_cast<Pack<float>*>(own);
#pragma unroll
  for (int i = 0; i < count; i++)
    packs[i * threads + thread] = {{sums[i][0], sums[i][1], sums[i][2], sums[i][3]}};
  own[4 * count * threads + thread] = rowSum;
  if (!isLastBlock(task.arrivalCounters + at.tile, splits)) return false;
#pragma unroll
  for (int i = 0; i < count; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sums[i][j] = 0.0f;
  rowSum = 0.0f;
  for (int split = 0; split < splits; split++) {
    const float* part = parts + split * size;
    const auto* from = reinterpret_cast<const Pack<float>*>(part);
#pragma unroll
    for (int i = 0; i < count; i++) {
      const Pack<float> pack = from[i * threads + thread];
#pragma unroll
      for (int j = 0; j < 4; j++) sums[i][j] += pack.at[j];
    }
    rowSum += part[4 * count * threads + thread];
  }
  return true;
}

// ---- the elements of a tile

/** x: the first `count` elements at p; by packs, then all W of them. */
template <int W, class T>
__device__ inline void loadFloats(float (&x)[W], const T* p, bool byPacks, int count) {
  if constexpr (W % Pack<T>::size == 0) {
    if (byPacks) {
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

template <int W, class T>
__device__ inline void storeFloats(T* p, const float (&x)[W], bool byPacks, int count) {
  if constexpr (W % Pack<T>::size == 0) {
    if (byPacks) {
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

/** Stores the complete sums x at (row, column) and to the right of it, as far as c goes. */
template <int W, class F, class C>
__device__ inline void applyEpilogue(const TiledGemm<F, C>& task, int64_t batch, int64_t row, int64_t column,
                              float (&x)[W]) {
  if (row >= task.M || column >= task.N) return;
  const int count = task.N - column < W ? (int)(task.N - column) : W;
  const bool byPacks = task.isOutputAligned && count == W;
  const int64_t at = batch * task.strideC + row * task.ldc + column;
  float more[W];
  if (task.bias) {
    loadFloats(more, task.bias + column, byPacks, count);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] += more[i];
  }
  if (task.preActivation) {
    loadFloats(more, task.preActivation + at, byPacks, count);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = activateBackward(task.activation, more[i], x[i]);
  } else if (task.activation != Activation::none) {
    if (task.h) storeFloats(task.h + at, x, byPacks, count);
    activate(task.activation, x);
  }
  if (task.accumulate) {
    loadFloats(more, task.c + at, byPacks, count);
#pragma unroll
    for (int i = 0; i < W; i++) x[i] += more[i];
  }
  storeFloats(task.c + at, x, byPacks, count);
}

/** How far apart rows of a tile of c lie in shared memory: a warp's stores find other banks. */
__host__ __device__ constexpr int sharedPitch(int n) { return n + 8; }

/**
 * Stores a complete tile, which all threads have put into shared memory: that way each has
 * neighbours to store, and a warp whole rows.
 */
template <int m, int n, int threads, class F, class C>
__device__ inline void applyTileEpilogue(const TiledGemm<F, C>& task, const TileCoordinates& at, const float* tile) {
  constexpr int W = Pack<F>::size, perRow = n / W;
  __syncthreads();
  for (int i = threadIdx.x; i < m * perRow; i += threads) {
    const int row = i / perRow, column = i % perRow * W;
    float x[W];
    loadFloats(x, tile + row * sharedPitch(n) + column, true, W);
    applyEpilogue(task, at.batch, at.row + row, at.column + column, x);
  }
}

// ---- on the host

/** A tile that a kernel has, and how many multiply-adds a multiprocessor then does in a cycle. */
struct Tile {
  int m, n;
  double rate;
};

/**
 * The plan that should take least time on 132 multiprocessors, by a rough account in their cycles:
 * each has its share of the blocks, a block costs 2000 and then `step` of K at a time, one that has
 * no other beside it half as much again; where K is split, all write their sums and the last reads
 * them, 64 bytes a cycle. It depends on nothing but the sizes, so that a product is always summed
 * in the same order.
 */
inline TilePlan chooseTilePlan(std::initializer_list<Tile> tiles, int step, int64_t M, int64_t N, int64_t K,
                   int64_t batch) {
  TilePlan best{};
  double least = 0;
  const int64_t steps = K > step ? ceilDiv(K, step) : 1;
  for (const Tile& tile : tiles) {
    const int64_t rows = ceilDiv(M, tile.m), columns = N > 0 ? ceilDiv(N, tile.n) : 1;
    const double perStep = (double)tile.m * tile.n * step / tile.rate;
    const double perPart = (double)tile.m * tile.n * sizeof(float) / 64;
    for (int64_t splits = 1; splits <= 32 && (splits == 1 || 4 * splits <= steps); splits++) {
      if (splits > 1 && rows * columns * batch * splits > 1024) break; // 64 MB of parts
      const int64_t depth = ceilDiv(steps, splits), blocks = rows * columns * batch * splits;
      if (ceilDiv(steps, depth) != splits) continue;
      const double share = blocks > 132 ? (double)ceilDiv(blocks, 132) : 1.5;
      const double cycles = share * (2000 + (double)depth * perStep) +
                            (splits > 1 ? (double)(splits + 1) * perPart : 0);
      if (best.m > 0 && cycles >= least) continue;
      least = cycles;
      best = {tile.m, tile.n, (int)rows, (int)columns, (int)splits, depth * step};
    }
  }
  return best;
}

/** Gives a task its plan, and room for the parts of its sums; false if there is none left. */
template <class F, class C>
bool prepare(TiledGemm<F, C>& task, const TilePlan& plan, int threads) {
  task.plan = plan;
  if (plan.splits == 1) return true;
  const int64_t tiles = plan.tiles() * task.batch;
  const int64_t size = partSize(threads, plan.m * plan.n / threads / 4);
  task.parts = static_cast<float*>(workspace(tiles * plan.splits * size * sizeof(float)));
  task.arrivalCounters = counters(tiles);
  return task.parts && task.arrivalCounters;
}

// ---- the kernels of ours

/** On tensor cores; f32 is rounded to tf32. */
template <class F, class C>
void gemmTensorCore(TiledGemm<F, C> task);
/** On the cores that all else runs on. */
void gemmSimt(TiledGemm<f32, f32> task);
/** Where op(a) has but few rows, a is stored as [M, K], b as [N, K], and no rowSums are wanted. */
template <class F, class C>
void gemv(const TiledGemm<F, C>& task);
constexpr int64_t GEMV_MAX_ROWS = 8;

} // namespace tinybard::cuda
