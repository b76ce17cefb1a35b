// Dropout and the drawing of batches, by Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011): a
// vector of blocks goes through the ten rounds side by side.

#include "random.h"

#include "kernels.h"
#include "words.h"

namespace tinybard::SIMD {

/** The ten rounds, from a counter to its four random words. */
static inline void philox(Words& c0, Words& c1, Words& c2, Words& c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++, k0 += 0x9e3779b9, k1 += 0xbb67ae85) {
    Words low0, low1;
    const Words high0 = multiply(c0, 0xd2511f53, &low0), high1 = multiply(c2, 0xcd9e8d57, &low1);
    c0 = high1 ^ c1 ^ Words(k0);
    c1 = low1;
    c2 = high0 ^ c3 ^ Words(k1);
    c3 = low0;
  }
}

void Drop::scales(uint64_t i, float* out) const {
  constexpr uint32_t stream = 2; // dropout
  constexpr int W = Vec::width;
  uint32_t first[blocks];
  for (int b = 0; b < blocks; b++) first[b] = (uint32_t)(i * blocks) + b;
  for (int b = 0; b < blocks; b += W) {
    Words c0 = Words::load(first + b), c1 = site, c2 = step, c3 = stream;
    philox(c0, c1, c2, c3, key[0], key[1]);
    // element 8 b + s of the site has half s of block b: eight streams, to be merged into one
    const Vec halves[8] = {lowHalves(c0), highHalves(c0), lowHalves(c1), highHalves(c1),
                           lowHalves(c2), highHalves(c2), lowHalves(c3), highHalves(c3)};
    Vec pairs[4][2], fours[2][4], eights[8];
    for (int s = 0; s < 4; s++) zip(halves[s], halves[s + 4], &pairs[s][0], &pairs[s][1]);
    for (int s = 0; s < 2; s++)
      for (int j = 0; j < 2; j++)
        zip(pairs[s][j], pairs[s + 2][j], &fours[s][2 * j], &fours[s][2 * j + 1]);
    for (int j = 0; j < 4; j++) zip(fours[0][j], fours[1][j], &eights[2 * j], &eights[2 * j + 1]);
    for (int j = 0; j < 8; j++) {
      const Vec kept = select(eights[j] < Vec((float)threshold), Vec(0.0f), Vec(scale));
      kept.store(out + 8 * b + j * W);
    }
  }
}

/** f(scales, i, count): the scales of elements i ... i + count - 1, counted from `first`. */
template <class F>
static void eachPiece(const Drop& drop, uint64_t first, int64_t n, const F& f) {
  float scales[Drop::elements];
  for (int64_t i = 0; i < n;) {
    const uint64_t at = first + i;
    const int64_t from = at % Drop::elements;
    const int64_t count = n - i < Drop::elements - from ? n - i : Drop::elements - from;
    drop.scales(at / Drop::elements, scales);
    f(scales + from, i, count);
    i += count;
  }
}

void keepScales(const Drop& drop, float* out, uint64_t first, int64_t n) {
  eachPiece(drop, first, n, [&](const float* scales, int64_t i, int64_t count) {
    std::memcpy(out + i, scales, (size_t)count * sizeof(float));
  });
}

void dropRow(const Drop& drop, const float* x, float* y, uint64_t first, int64_t n) {
  eachPiece(drop, first, n, [&](const float* scales, int64_t i, int64_t count) {
    for (int64_t j = 0; j < count; j++) y[i + j] = x[i + j] * scales[j];
  });
}

void dropout(const f32* x, f32* y, const i32* rngState, int64_t n, int64_t site, double p) {
  const Drop drop(rngState, site, p);
  parallelFor(n, 16 * Drop::elements, [&](int64_t begin, int64_t end) {
    dropRow(drop, x + begin, y + begin, begin, end - begin);
  });
}

void sampleBatch(const i32* tokens, const i32* counter, i32* x, i32* y, int64_t n, int64_t B,
                 int64_t T, int64_t stream) {
  if (n <= T)
    return kernelError("sampleBatch: n is %lld, expected more than T, %lld",
                       (long long)n, (long long)T);
  constexpr int W = Vec::width;
  uint32_t words[4][W]; // word j of W blocks in a row
  for (int64_t b = 0; b < B; b++) {
    const int64_t at = b % (4 * W);
    if (at == 0) {
      uint32_t first[W];
      for (int i = 0; i < W; i++) first[i] = (uint32_t)(b / 4) + i;
      Words c0 = Words::load(first), c1 = (uint32_t)counter[3], c2 = (uint32_t)counter[2];
      Words c3 = (uint32_t)stream;
      philox(c0, c1, c2, c3, counter[0], counter[1]);
      c0.store(words[0]);
      c1.store(words[1]);
      c2.store(words[2]);
      c3.store(words[3]);
    }
    const int64_t start = (int64_t)(words[at % 4][at / 4] * (uint64_t)(n - T) >> 32);
    std::memcpy(x + b * T, tokens + start, (size_t)T * sizeof(i32));
    std::memcpy(y + b * T, tokens + start + 1, (size_t)T * sizeof(i32));
  }
}

} // namespace tinybard::SIMD
