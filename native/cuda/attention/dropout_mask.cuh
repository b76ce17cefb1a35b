// Which probabilities dropout keeps, as bits in shared memory. One draw decides eight neighbours of
// a row, which no layout of fragments gives to one thread in both passes; so threads share rngState
// out among them, and read bits in whatever order they compute.
#pragma once

#include "../random.cuh"
#include "attention.h"

namespace tinybard::cuda {

/** Bit j: whether element 8 i + j is kept. */
__device__ inline uint32_t keptOfDraw(const DropoutRng& dropoutRng, uint64_t i) {
  const uint4 bits = dropoutRng.bits(i);
  uint32_t kept = 0;
#pragma unroll
  for (int j = 0; j < 8; j++)
    kept |= (uint32_t)(DropoutRng::bits16(bits, j) >= dropoutRng.threshold) << j;
  return kept;
}

/** Bit j: whether element first + j is kept, j < 16. */
__device__ inline uint32_t keptFrom(const DropoutRng& dropoutRng, uint64_t first) {
  const uint64_t draw = first / 8;
  const int shift = first % 8;
  uint32_t kept = keptOfDraw(dropoutRng, draw) | keptOfDraw(dropoutRng, draw + 1) << 8;
  if (shift != 0) kept |= keptOfDraw(dropoutRng, draw + 2) << 16;
  return kept >> shift & 0xffff;
}

/** A tile of probabilities: 16 keys of a query to each element, `pitch` elements to a query. */
struct Kept {
  uint16_t* bits;
  int pitch;

  __device__ Kept from(int query) const { return {bits + query * pitch, pitch}; }
  __device__ bool at(int query, int key) const {
    return bits[query * pitch + key / 16] >> key % 16 & 1;
  }

  /** Keeps all of 16 `columns` keys of `queries` queries. */
  __device__ void keepAll(int queries, int columns, int thread, int threads) const {
    for (int i = thread; i < queries * columns; i += threads)
      bits[i % queries * pitch + i / queries] = 0xffff;
  }

  /**
   * Draws for `queries` queries from `query`, 16 `columns` keys from `key`. Many threads share the
   * work. Where a query sees no key, the bits are 0.
   */
  template <class F>
  __device__ void draw(const Attention<F>& problem, const Sight& sight, int head, int query,
                       int queries, int key, int columns, int thread, int threads) const {
    const DropoutRng dropoutRng(problem.rngState, problem.site, problem.threshold);
    for (int i = thread; i < queries * columns; i += threads) {
      const int row = i % queries, column = i / queries, q = query + row, k = key + 16 * column;
      const bool isSeen = q < sight.Tq && k < sight.seen(q);
      const uint64_t element = ((uint64_t)head * sight.Tq + q) * sight.Tk + k;
      bits[row * pitch + column] = isSeen ? (uint16_t)keptFrom(dropoutRng, element) : (uint16_t)0;
    }
  }
};

} // namespace tinybard::cuda
