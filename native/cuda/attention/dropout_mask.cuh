// The dropout mask of attention probabilities, as bits in shared memory. One call of the generator
// decides 8 consecutive elements of a row, which neither pass holds in one thread. So the threads
// generate the bits together, and then read those that they need.
#pragma once

#include "../random.cuh"
#include "attention.h"

namespace tinybard::cuda {

/** Returns the mask of elements 8 i to 8 i + 7: bit j is 1 if element 8 i + j is kept. */
__device__ inline uint32_t keepBits8(const DropoutRng& rng, uint64_t i) {
  const uint4 bits = rng.bits(i);
  uint32_t kept = 0;
#pragma unroll
  for (int j = 0; j < 8; j++)
    kept |= (uint32_t)(DropoutRng::bits16(bits, j) >= rng.threshold) << j;
  return kept;
}

/** Returns the mask of 16 elements: bit j is 1 if element first + j is kept. */
__device__ inline uint32_t keepBits16(const DropoutRng& rng, uint64_t first) {
  const uint64_t i = first / 8;
  const int shift = first % 8;
  uint32_t kept = keepBits8(rng, i) | keepBits8(rng, i + 1) << 8;
  if (shift != 0) kept |= keepBits8(rng, i + 2) << 16;
  return kept >> shift & 0xffff;
}

/** Returns what dropout leaves of an element that it drops: 0, or NaN if x is NaN or infinite. */
__device__ inline float zeroTimes(float x) { return x - x; }

/** The mask of a tile of probabilities: a bit per key, 16 keys a word, `pitch` words a query. */
struct DropoutMask {
  uint16_t* bits;
  int pitch;

  __device__ DropoutMask fromQuery(int query) const { return {bits + query * pitch, pitch}; }
  __device__ bool isKept(int query, int key) const {
    return bits[query * pitch + key / 16] >> key % 16 & 1;
  }

  /** Sets all bits of `queries` queries, `words` words each. `threads` threads share the work. */
  __device__ void keepAll(int queries, int words, int thread, int threads) const {
    for (int i = thread; i < queries * words; i += threads)
      bits[i % queries * pitch + i / queries] = 0xffff;
  }

  /**
   * Generates the bits of `queries` queries from `query` on, and of 16 `words` keys from `key` on.
   * Where the causal mask hides all keys of a word, its bits are 0. `threads` threads share the
   * work.
   */
  template <class F>
  __device__ void generate(const Attention<F>& problem, const CausalMask& mask, int head, int query,
                           int queries, int key, int words, int thread, int threads) const {
    const DropoutRng rng(problem.rngState, problem.site, problem.threshold);
    for (int i = thread; i < queries * words; i += threads) {
      const int row = i % queries;
      const int word = i / queries;
      const int q = query + row;
      const int k = key + 16 * word;
      const bool isVisible = q < mask.Tq && k < mask.visibleKeys(q);
      const uint64_t element = ((uint64_t)head * mask.Tq + q) * mask.Tk + k;
      bits[row * pitch + word] = isVisible ? (uint16_t)keepBits16(rng, element) : (uint16_t)0;
    }
  }
};

} // namespace tinybard::cuda
