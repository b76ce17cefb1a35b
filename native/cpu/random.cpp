// Dropout, by Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011). Sixteen blocks go through the
// ten rounds side by side, in plain loops over them, which the compiler turns into vectors.

#include "random.h"

#include "kernels.h"

namespace tinybard::SIMD {

void Drop::scales(uint64_t i, float* out) const {
  constexpr uint32_t stream = 2; // dropout
  uint32_t c0[blocks], c1[blocks], c2[blocks], c3[blocks];
  for (int b = 0; b < blocks; b++) {
    c0[b] = (uint32_t)(i * blocks) + b;
    c1[b] = site;
    c2[b] = step;
    c3[b] = stream;
  }
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++, k0 += 0x9e3779b9, k1 += 0xbb67ae85) {
    for (int b = 0; b < blocks; b++) {
      const uint64_t p0 = (uint64_t)0xd2511f53 * c0[b], p1 = (uint64_t)0xcd9e8d57 * c2[b];
      c0[b] = (uint32_t)(p1 >> 32) ^ c1[b] ^ k0;
      c1[b] = (uint32_t)p1;
      c2[b] = (uint32_t)(p0 >> 32) ^ c3[b] ^ k1;
      c3[b] = (uint32_t)p0;
    }
  }
  const uint32_t* words[4] = {c0, c1, c2, c3};
  for (int w = 0; w < 4; w++) {
    for (int b = 0; b < blocks; b++) {
      out[8 * b + 2 * w] = (words[w][b] & 0xffff) < threshold ? 0 : scale;
      out[8 * b + 2 * w + 1] = (words[w][b] >> 16) < threshold ? 0 : scale;
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

void dropout(const f32* x, f32* y, const i32* draws, int64_t n, int64_t site, double p, End) {
  const Drop drop(draws, site, p);
  parallelFor(n, 16 * Drop::elements,
              [&](int64_t begin, int64_t end) { dropRow(drop, x + begin, y + begin, begin, end - begin); });
}

} // namespace tinybard::SIMD
