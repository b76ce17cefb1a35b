// The counter-based generator Philox 4x32-10 (src/random.ts), and dropout's use of it.
#pragma once

#include "device.cuh"

namespace tinybard::cuda {

/** One block of four words at the counter [c0, c1, c2, c3]. */
__device__ inline uint4 philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                               uint32_t k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = __umulhi(0xd2511f53u, c0), low0 = 0xd2511f53u * c0;
    const uint32_t high1 = __umulhi(0xcd9e8d57u, c2), low1 = 0xcd9e8d57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

/** What decides which elements of a dropout site are dropped; as the contract's `dropout` says. */
struct DropoutRng {
  uint32_t k0, k1, site, step, threshold;
  float scale; // of what is kept

  /** p is the host's; rngState lie on the device. */
  __device__ DropoutRng(const i32* rngState, uint32_t firstSite, uint32_t threshold)
      : k0(rngState[0]), k1(rngState[1]), site(firstSite + rngState[3]), step(rngState[2]),
        threshold(threshold), scale(65536.0f / (65536.0f - threshold)) {}

  /** p as kernels take it: an element is dropped if its 16 bits are below this. */
  static uint32_t toThreshold(double p) { return (uint32_t)(65536 * p + 0.5); }

  /** The bits of elements 8 i to 8 i + 7: element 8 i + j has half j % 2 of word j / 2. */
  __device__ uint4 bits(uint64_t i) const {
    return philox((uint32_t)i, site, step, 2, k0, k1); // 2: the stream of dropout
  }

  __device__ static uint32_t bits16(const uint4& bits, int j) {
    const uint32_t word = j < 4 ? (j < 2 ? bits.x : bits.y) : (j < 6 ? bits.z : bits.w);
    return j % 2 == 0 ? word & 0xffff : word >> 16;
  }

  /** What an element with these 16 bits is multiplied by. */
  __device__ float factor(uint32_t sixteenBits) const {
    return sixteenBits < threshold ? 0.0f : scale;
  }

  /** What elements first to first + W - 1 are multiplied by; W divides 8, and `first`. */
  template <int W>
  __device__ void factors(uint64_t first, float (&factor)[W]) const {
    const uint4 drawn = bits(first / 8);
    const int place = W == 8 ? 0 : (int)(first % 8);
    for (int k = 0; k < W; k++) factor[k] = this->factor(bits16(drawn, place + k));
  }

  /** What element i alone is multiplied by. */
  __device__ float factorAt(uint64_t i) const { return factor(bits16(bits(i / 8), i % 8)); }
};

} // namespace tinybard::cuda
