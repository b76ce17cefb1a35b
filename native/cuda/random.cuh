// The counter-based generator Philox 4x32-10 (Salmon et al. 2011; src/random.ts), and its use for
// dropout: a mask is a function of the seed, step, site and element index, and is never stored.
#pragma once

#include "device.cuh"

namespace tinybard::cuda {

/** Returns the four random words at counter [c0, c1, c2, c3] with key [k0, k1]. */
__device__ inline uint4 philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                               uint32_t k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = __umulhi(0xd2511f53u, c0);
    const uint32_t low0 = 0xd2511f53u * c0;
    const uint32_t high1 = __umulhi(0xcd9e8d57u, c2);
    const uint32_t low1 = 0xcd9e8d57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

/**
 * The dropout mask of one call. Element i uses 16 random bits: it is dropped if they are below
 * threshold, and otherwise scaled by 65536 / (65536 - threshold).
 */
struct DropoutRng {
  uint32_t k0, k1; // the key: the seed
  uint32_t site, step;
  uint32_t threshold;
  float scale;

  /** rngState [4] = seed (2 words), step, site, in device memory; threshold from toThreshold(). */
  __device__ DropoutRng(const i32* rngState, uint32_t firstSite, uint32_t threshold)
      : k0(rngState[0]), k1(rngState[1]), site(firstSite + rngState[3]), step(rngState[2]),
        threshold(threshold), scale(65536.0f / (65536.0f - threshold)) {}

  /** Returns round(65536 p): the number of 16-bit values that mean "dropped". */
  static uint32_t toThreshold(double p) { return (uint32_t)(65536 * p + 0.5); }

  /** Returns the random bits of elements 8 i to 8 i + 7, 16 for each; see bits16(). */
  __device__ uint4 bits(uint64_t i) const {
    return philox((uint32_t)i, site, step, 2, k0, k1); // 2: the dropout stream
  }

  /** Returns the 16 bits of element j of 8: the lower or upper half of word j / 2. */
  __device__ static uint32_t bits16(const uint4& bits, int j) {
    const uint32_t word = j < 4 ? (j < 2 ? bits.x : bits.y) : (j < 6 ? bits.z : bits.w);
    return j % 2 == 0 ? word & 0xffff : word >> 16;
  }

  /** Returns the factor of an element with these 16 bits. */
  __device__ float factor(uint32_t sixteenBits) const {
    return sixteenBits < threshold ? 0.0f : scale;
  }

  /** Sets the factors of elements first to first + W - 1. W divides 8 and `first`. */
  template <int W>
  __device__ void factors(uint64_t first, float (&factor)[W]) const {
    const uint4 group = bits(first / 8);
    const int offset = W == 8 ? 0 : (int)(first % 8);
    for (int k = 0; k < W; k++) factor[k] = this->factor(bits16(group, offset + k));
  }

  /** Returns the factor of element i. */
  __device__ float factorAt(uint64_t i) const { return factor(bits16(bits(i / 8), i % 8)); }
};

} // namespace tinybard::cuda
