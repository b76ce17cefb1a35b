// Dropout masks from the counter-based generator Philox 4x32-10 (Salmon et al. 2011;
// src/random.ts). A mask is a function of the seed, step, site and element index, and is never
// stored.
#pragma once

#include "simd.h"

namespace tinybard::SIMD {

/**
 * The dropout mask of one call. Element i uses 16 random bits: it is dropped if they are below
 * threshold, and otherwise scaled by 65536 / (65536 - threshold).
 */
struct DropoutRng {
  uint32_t key[2]; // the seed
  uint32_t site;
  uint32_t step;
  uint32_t threshold;
  float scale;

  /** rngState [4] = seed (2 words), step, site; null only for p = 0. */
  DropoutRng(const int32_t* rngState, int64_t firstSite, double p) {
    threshold = (uint32_t)std::floor(65536 * p + 0.5);
    scale = 65536.0f / (65536.0f - threshold);
    key[0] = rngState ? rngState[0] : 0;
    key[1] = rngState ? rngState[1] : 0;
    step = rngState ? rngState[2] : 0;
    site = (uint32_t)firstSite + (rngState ? rngState[3] : 0);
  }

  static constexpr int BLOCKS = 16; // Philox blocks, of 8 elements each, that are computed at once
  static constexpr int ELEMENTS = 8 * BLOCKS;
  /** Stores the factors of elements 128 i to 128 i + 127: 0 if dropped, otherwise `scale`. */
  void scales(uint64_t i, float* out) const;
};

/** out [n] = the factors of elements first to first + n - 1. */
void dropoutScales(const DropoutRng& rng, float* out, uint64_t first, int64_t n);

/** y = x times the factors of elements first to first + n - 1. x, y [n] */
void applyDropout(const DropoutRng& rng, const float* x, float* y, uint64_t first, int64_t n);

} // namespace tinybard::SIMD
