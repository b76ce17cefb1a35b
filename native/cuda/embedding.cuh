// The backward pass of an embedding, dw[v] = sum of dy[r] over the rows r with idx[r] = v, without
// atomics and without sorting: blocks list the rows of their classes v and add them in order.
#pragma once

#include "block.cuh"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

constexpr int ROWS_AT_ONCE = 8192;      // rows of dy that are searched at a time
constexpr int MAX_BLOCK_CLASSES = 1024; // classes (rows of dw) of a block
constexpr int HEAVY_ROWS = 64;          // rows of a class that are worth the whole block

/** A row of dy, among ROWS_AT_ONCE, and its class, among those of the block; in 4 bytes. */
struct Match {
  uint32_t packed;
  __device__ int row() const { return packed % ROWS_AT_ONCE; }
  __device__ int classIndex() const { return packed / ROWS_AT_ONCE; }
};

/**
 * Lists the rows, from `first` to at most `end` - 1, whose class is one of `classes` from
 * firstClass on, in order; returns their number. All threads of the block call it.
 */
__device__ inline int findMatches(const i32* idx, int64_t first, int64_t end, int64_t firstClass,
                                  int classes, int64_t V, Match* matches, IndexError* indexError) {
  constexpr int WARPS = BLOCK_SIZE / WARP;
  SHARED(int, counts, [WARPS]);
  const int64_t rows = end - first < ROWS_AT_ONCE ? end - first : ROWS_AT_ONCE;
  const int rowsPerWarp = (int)ceilDiv(rows, WARPS * WARP) * WARP;
  int next = 0; // the next match of this warp
  int total = 0;
  for (const bool writes : {false, true}) { // counts first, to know where each warp's matches start
    for (int i = warp() * rowsPerWarp; i < (warp() + 1) * rowsPerWarp && first + i < end;
         i += WARP) {
      const int64_t row = first + i + lane();
      const int64_t v =
          row < end ? checkIndex(idx[row], V, IndexSource::embeddingBackward, row, indexError) : -1;
      const int64_t classIndex = v - firstClass;
      const bool isMatch = row < end && classIndex >= 0 && classIndex < classes;
      const unsigned matching = __ballot_sync(FULL_MASK, isMatch);
      if (writes && isMatch) {
        const int before = __popc(matching & ((1u << lane()) - 1));
        matches[next + before] = {(uint32_t)classIndex * ROWS_AT_ONCE + i + lane()};
      }
      next += __popc(matching);
    }
    if (writes) break;
    if (lane() == 0) counts[warp()] = next;
    __syncthreads();
    next = 0;
    for (int w = 0; w < WARPS; w++) {
      if (w < warp()) next += counts[w];
      total += counts[w];
    }
  }
  __syncthreads();
  return total;
}

/** Returns the number of matches of a class; a warp calls it. */
__device__ inline int countMatches(int classIndex, const Match* matches, int count) {
  int sum = 0;
  for (int m = 0; m < count; m += WARP) {
    const bool isMatch = m + lane() < count && matches[m + lane()].classIndex() == classIndex;
    sum += __popc(__ballot_sync(FULL_MASK, isMatch));
  }
  return sum;
}

/**
 * Returns the sum, over the rows of a class among matches first to end - 1, of the W columns of dy
 * from `column` on; a warp calls it, with isColumn false in lanes past the last column.
 */
template <int W, class F>
__device__ inline Vector<float, W> sumMatches(int classIndex, const Match* matches, int first,
                                              int end, const F* column, int64_t C, bool isColumn) {
  Vector<float, W> total = {};
  for (int m = first; m < end; m += WARP) {
    Vector<float, W> block = {}; // of at most WARP rows
    const bool isMatch = m + lane() < end && matches[m + lane()].classIndex() == classIndex;
    unsigned left = __ballot_sync(FULL_MASK, isMatch);
    while (left != 0) {
      constexpr int LOADS = 4; // in flight
      Vector<F, W> x[LOADS];
#pragma unroll
      for (int k = 0; k < LOADS; k++) {
        x[k] = {};
        if (left != 0 && isColumn) x[k] = load<W>(column + matches[m + __ffs(left) - 1].row() * C);
        left &= left - 1;
      }
#pragma unroll
      for (int k = 0; k < LOADS; k++)
        for (int i = 0; i < W; i++) block.at[i] += toFloat(x[k].at[i]);
    }
    for (int i = 0; i < W; i++) total.at[i] += block.at[i];
  }
  return total;
}

/**
 * dw[v] = sum of the rows dy[r] with idx[r] = v, without atomics. idx [rows], dy [rows, C],
 * dw [V, C], partials [chunks, V, C]. A block has classesPerBlock classes and one of `chunks`
 * chunks of the rows: it lists the rows of its classes, and each of its warps sums one class after
 * another; all warps share a class of more than HEAVY_ROWS rows. Blocks are ordered (set of
 * classes, chunk).
 */
template <int W, class F>
__global__ void __launch_bounds__(BLOCK_SIZE, 3)
    sumByClass(const i32* idx, const F* dy, f32* dw, f32* partials, unsigned* counters,
               int64_t rows, int64_t V, int64_t C, int classesPerBlock, int chunks,
               IndexError* indexError) {
  constexpr int WARPS = BLOCK_SIZE / WARP;
  SHARED(Match, matches, [ROWS_AT_ONCE]);
  SHARED(bool, isHeavy, [MAX_BLOCK_CLASSES]);
  SHARED(float, sums, [WARPS][WARP * W]);
  const int chunk = blockIdx.x % chunks;
  const int64_t set = blockIdx.x / chunks;
  const int64_t firstClass = set * classesPerBlock;
  const int classes = (int)(V - firstClass < classesPerBlock ? V - firstClass : classesPerBlock);
  const int64_t begin = rows * chunk / chunks;
  const int64_t end = rows * (chunk + 1) / chunks;
  f32* out = (chunks == 1 ? dw : partials + chunk * V * C) + firstClass * C;
  for (int64_t first = begin; first == begin || first < end; first += ROWS_AT_ONCE) {
    const int count = findMatches(idx, first, end, firstClass, classes, V, matches, indexError);
    for (int v = warp(); v < classes; v += WARPS) {
      const int classRows = countMatches(v, matches, count);
      if (lane() == 0) isHeavy[v] = classRows > HEAVY_ROWS;
      if (classRows > HEAVY_ROWS || (classRows == 0 && first > begin)) continue;
      for (int64_t tile = 0; tile < C; tile += WARP * W) {
        const int64_t c = tile + lane() * W;
        Vector<float, W> sum = sumMatches<W>(v, matches, 0, count, dy + first * C + c, C, c < C);
        if (c >= C) continue;
        if (first > begin)
          for (int i = 0; i < W; i++) sum.at[i] += out[v * C + c + i];
        store(out + v * C + c, sum);
      }
    }
    __syncthreads();
    for (int v = 0; v < classes; v++) {
      if (!isHeavy[v]) continue;
      for (int64_t tile = 0; tile < C; tile += WARP * W) {
        const int64_t c = tile + lane() * W;
        const int64_t column = tile + threadIdx.x;
        const int firstMatch = count * warp() / WARPS;
        const int endMatch = count * (warp() + 1) / WARPS;
        store(sums[warp()] + lane() * W, sumMatches<W>(v, matches, firstMatch, endMatch,
                                                       dy + first * C + c, C, c < C));
        __syncthreads();
        if (threadIdx.x < WARP * W && column < C) {
          float sum = first > begin ? out[v * C + column] : 0;
          for (int w = 0; w < WARPS; w++) sum += sums[w][threadIdx.x];
          out[v * C + column] = sum;
        }
        __syncthreads();
      }
    }
    __syncthreads(); // all threads are done with matches
  }
  if (chunks == 1) return;
  f32* setPartials = partials + firstClass * C;
  if (!reducePartials(setPartials, V * C, classes * C, chunk, chunks,
                      counters + set * partialCounters(chunks)))
    return;
  for (int64_t i = threadIdx.x; i < classes * C; i += BLOCK_SIZE)
    dw[firstClass * C + i] = setPartials[i];
}

} // namespace
} // namespace tinybard::cuda
