// Dropout and the sampling of batches, by Philox 4x32-10 (Salmon et al. 2011). A vector of blocks
// goes through the ten rounds at once. Element i depends only on its counter, so threads can divide
// the elements anywhere.

#include "random.h"

#include "kernels.h"
#include "uvec.h"

namespace tinybard::SIMD {

/** Replaces each lane's counter [c0, c1, c2, c3] by its four random words for key [k0, k1]. */
static inline void philox(UVec& c0, UVec& c1, UVec& c2, UVec& c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    UVec low0;
    UVec low1;
    const UVec high0 = mulWide(c0, 0xd2511f53, &low0);
    const UVec high1 = mulWide(c2, 0xcd9e8d57, &low1);
    c0 = high1 ^ c1 ^ UVec(k0);
    c1 = low1;
    c2 = high0 ^ c3 ^ UVec(k1);
    c3 = low0;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
}

void DropoutRng::scales(uint64_t i, float* out) const {
  constexpr uint32_t DROPOUT_STREAM = 2;
  constexpr int W = Vec::width;
  uint32_t first[BLOCKS];
  for (int b = 0; b < BLOCKS; b++) first[b] = (uint32_t)(i * BLOCKS) + b;
  for (int b = 0; b < BLOCKS; b += W) {
    UVec c0 = UVec::load(first + b);
    UVec c1 = site;
    UVec c2 = step;
    UVec c3 = DROPOUT_STREAM;
    philox(c0, c1, c2, c3, key[0], key[1]);
    // Element 8 b + s uses the 16 bits s of block b. Lane b of bits[s] has them; three rounds of
    // interleaving bring all elements into order.
    const Vec bits[8] = {low16(c0), high16(c0), low16(c1), high16(c1),
                         low16(c2), high16(c2), low16(c3), high16(c3)};
    Vec pairs[4][2];
    Vec quads[2][4];
    Vec ordered[8];
    for (int s = 0; s < 4; s++) interleave(bits[s], bits[s + 4], &pairs[s][0], &pairs[s][1]);
    for (int s = 0; s < 2; s++) {
      for (int j = 0; j < 2; j++)
        interleave(pairs[s][j], pairs[s + 2][j], &quads[s][2 * j], &quads[s][2 * j + 1]);
    }
    for (int j = 0; j < 4; j++)
      interleave(quads[0][j], quads[1][j], &ordered[2 * j], &ordered[2 * j + 1]);
    for (int j = 0; j < 8; j++) {
      const Vec factor = select(ordered[j] < Vec((float)threshold), Vec(0.0f), Vec(scale));
      factor.store(out + 8 * b + j * W);
    }
  }
}

/** Calls f(scales, i, count) with the factors of elements first + i to first + i + count - 1. */
template <class F>
static void forEachRun(const DropoutRng& rng, uint64_t first, int64_t n, const F& f) {
  float scales[DropoutRng::ELEMENTS];
  for (int64_t i = 0; i < n;) {
    const uint64_t element = first + i;
    const int64_t offset = element % DropoutRng::ELEMENTS;
    const int64_t left = DropoutRng::ELEMENTS - offset;
    const int64_t count = n - i < left ? n - i : left;
    rng.scales(element / DropoutRng::ELEMENTS, scales);
    f(scales + offset, i, count);
    i += count;
  }
}

void dropoutScales(const DropoutRng& rng, float* out, uint64_t first, int64_t n) {
  forEachRun(rng, first, n, [&](const float* scales, int64_t i, int64_t count) {
    std::memcpy(out + i, scales, (size_t)count * sizeof(float));
  });
}

void applyDropout(const DropoutRng& rng, const float* x, float* y, uint64_t first, int64_t n) {
  forEachRun(rng, first, n, [&](const float* scales, int64_t i, int64_t count) {
    for (int64_t j = 0; j < count; j++) y[i + j] = x[i + j] * scales[j];
  });
}

/** y_i = x_i / (1 - p) with probability 1 - p, otherwise 0; see DropoutRng. x, y [n] */
void dropout(const f32* x, f32* y, const i32* rngState, int64_t n, int64_t site, double p) {
  const DropoutRng rng(rngState, site, p);
  parallelFor(n, 16 * DropoutRng::ELEMENTS, [&](int64_t begin, int64_t end) {
    applyDropout(rng, x + begin, y + begin, begin, end - begin);
  });
}

/**
 * x[b] = T consecutive tokens from a random start, y[b] = the same shifted by one token. The start
 * of b is the high half of word b (n - T), a 64-bit product, with the words of Philox at
 * counter [4] = seed (2 words), step, site. tokens [n]; x, y [B, T]. On one thread.
 */
void sampleBatch(const i32* tokens, const i32* counter, i32* x, i32* y, int64_t n, int64_t B,
                 int64_t T, int64_t stream) {
  if (n <= T)
    return kernelError("sampleBatch: n is %lld, expected more than T, %lld",
                       (long long)n, (long long)T);
  constexpr int W = Vec::width;
  uint32_t words[4][W]; // word j of each of W consecutive blocks
  for (int64_t b = 0; b < B; b++) {
    const int64_t word = b % (4 * W);
    if (word == 0) {
      uint32_t first[W];
      for (int i = 0; i < W; i++) first[i] = (uint32_t)(b / 4) + i;
      UVec c0 = UVec::load(first);
      UVec c1 = (uint32_t)counter[3];
      UVec c2 = (uint32_t)counter[2];
      UVec c3 = (uint32_t)stream;
      philox(c0, c1, c2, c3, counter[0], counter[1]);
      c0.store(words[0]);
      c1.store(words[1]);
      c2.store(words[2]);
      c3.store(words[3]);
    }
    const int64_t start = (int64_t)(words[word % 4][word / 4] * (uint64_t)(n - T) >> 32);
    std::memcpy(x + b * T, tokens + start, (size_t)T * sizeof(i32));
    std::memcpy(y + b * T, tokens + start + 1, (size_t)T * sizeof(i32));
  }
}

} // namespace tinybard::SIMD
