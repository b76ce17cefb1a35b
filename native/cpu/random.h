// The counter-based generator Philox 4x32-10, several blocks at a time, and dropout's use of it.
#pragma once

#include "simd.h"

namespace tinybard::SIMD {

/** What decides which elements of a dropout site are dropped; as the contract's `dropout` says. */
struct Drop {
  uint32_t key[2], site, step, threshold;
  float scale;

  Drop(const int32_t* rngState, int64_t firstSite, double p) {
    threshold = (uint32_t)std::floor(65536 * p + 0.5);
    scale = 65536.0f / (65536.0f - threshold);
    key[0] = rngState ? rngState[0] : 0;
    key[1] = rngState ? rngState[1] : 0;
    step = rngState ? rngState[2] : 0;
    site = (uint32_t)firstSite + (rngState ? rngState[3] : 0);
  }

  static constexpr int blocks = 16, elements = 8 * blocks; // drawn at once
  /** What elements 128 i ... 128 i + 127 are multiplied by: 0 where dropped, else scale. */
  void scales(uint64_t i, float* out) const;
};

/** What elements first ... first + n - 1 of the site are multiplied by. */
void keepScales(const Drop& drop, float* out, uint64_t first, int64_t n);

/** y = x where kept, times scale, else 0, for elements first ... first + n - 1 of the site. */
void dropRow(const Drop& drop, const float* x, float* y, uint64_t first, int64_t n);

} // namespace tinybard::SIMD
