// Optimizer kernels: one pass over all parameters, in place. The elements are numbered through all
// parameters and divided into equal ranges, one per thread, which may begin and end within a
// parameter. Every element is updated by itself, so the ranges do not change the bits.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 8192; // elements that are not worth a second thread

/** Calls f(tensor, begin, end) for ranges of elements that together cover the list once. */
template <class F>
static void forEachRange(const List& list, const F& f) {
  int64_t total = 0;
  for (int64_t i = 0; i < list.count; i++) total += list.lengths[i];
  parallelFor(total, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t first = 0; // the number of tensor i's first element
    for (int64_t i = 0; i < list.count && first < end; i++) {
      const int64_t length = list.lengths[i];
      const int64_t from = begin > first ? begin - first : 0;
      const int64_t to = end - first < length ? end - first : length;
      if (from < to) f(i, from, to);
      first += length;
    }
  });
}

/**
 * velocity = momentum velocity + dw + weightDecay w; w -= lr velocity. Does nothing if foundInf [1]
 * is not null and not 0.
 */
void sgd(List w, List dw, List velocity, const f32* lr, const f32* foundInf, double momentum,
         double weightDecay) {
  if (foundInf && *foundInf != 0) return;
  const Vec rate = *lr;
  const Vec mu = (float)momentum;
  const Vec decay = (float)weightDecay;
  forEachRange(w, [&](int64_t i, int64_t begin, int64_t end) {
    float* wi = w[i];
    float* vi = velocity[i];
    const float* dwi = dw[i];
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      const Vec x = Vec::load(wi + j, lanes);
      // a factor of 0 skips its term, which is NaN for an infinite velocity or weight
      Vec v = Vec::load(dwi + j, lanes);
      if (momentum != 0) v = fma(mu, Vec::load(vi + j, lanes), v);
      if (weightDecay != 0) v = fma(decay, x, v);
      v.store(vi + j, lanes);
      fma(-rate, v, x).store(wi + j, lanes);
    }
  });
}

/**
 * t += 1; g = dw + l2 w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
 * w -= lr weightDecay w + lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). Does nothing if
 * foundInf [1] is not null and not 0. (Kingma and Ba, 2015; Loshchilov and Hutter, 2019)
 */
void adamw(List w, List dw, List m, List v, List, List t, const f32* lr, const f32* foundInf,
           double beta1, double beta2, double eps, double weightDecay, double l2) {
  if (foundInf && *foundInf != 0) return;
  for (int64_t i = 0; i < t.count; i++) t[i][0] += 1;
  const Vec b1 = (float)beta1;
  const Vec b2 = (float)beta2;
  const Vec oneMinusB1 = (float)(1 - beta1);
  const Vec oneMinusB2 = (float)(1 - beta2);
  const Vec epsilon = (float)eps;
  const Vec penalty = (float)l2;
  const Vec decayFactor = (float)(1 - *lr * weightDecay);
  forEachRange(w, [&](int64_t i, int64_t begin, int64_t end) {
    const Vec stepSize = (float)(*lr / (1 - std::pow(beta1, (double)t[i][0])));
    const Vec rootCorrection = (float)(1 / std::sqrt(1 - std::pow(beta2, (double)t[i][0])));
    float* wi = w[i];
    float* mi = m[i];
    float* vi = v[i];
    const float* dwi = dw[i];
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      const Vec x = Vec::load(wi + j, lanes);
      const Vec dwj = Vec::load(dwi + j, lanes);
      const Vec g = l2 != 0 ? fma(penalty, x, dwj) : dwj; // not NaN for an infinite weight
      const Vec mean = fma(oneMinusB1, g, b1 * Vec::load(mi + j, lanes));
      const Vec square = fma(oneMinusB2 * g, g, b2 * Vec::load(vi + j, lanes));
      mean.store(mi + j, lanes);
      square.store(vi + j, lanes);
      const Vec change = stepSize * mean / fma(sqrt(square), rootCorrection, epsilon);
      fma(decayFactor, x, -change).store(wi + j, lanes);
    }
  });
}

/**
 * y += weight [1] (x - y), computed from the nearer end, so that a weight of 1 is exact. Does
 * nothing if foundInf [1] is not null and not 0. (torch.lerp)
 */
void lerp(List y, List x, const f32* weight, const f32* foundInf) {
  if (foundInf && *foundInf != 0) return;
  const bool isNearY = *weight < 0.5f;
  const Vec factor = isNearY ? *weight : *weight - 1;
  forEachRange(y, [&](int64_t i, int64_t begin, int64_t end) {
    float* yi = y[i];
    const float* xi = x[i];
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      const Vec from = Vec::load(yi + j, lanes);
      const Vec to = Vec::load(xi + j, lanes);
      fma(factor, to - from, isNearY ? from : to).store(yi + j, lanes);
    }
  });
}

/** Calls f(block, x, n) for blocks begin to end - 1 of all tensors, each of at most SUM_BLOCK. */
template <class F>
static void forEachTensorBlock(const List& list, int64_t begin, int64_t end, const F& f) {
  int64_t before = 0; // the blocks of the tensors before
  for (int64_t i = 0; i < list.count && before < end; i++) {
    const int64_t blocks = (list.lengths[i] + SUM_BLOCK - 1) / SUM_BLOCK;
    const int64_t first = begin > before ? begin - before : 0;
    const int64_t last = end - before < blocks ? end - before : blocks;
    for (int64_t b = first; b < last; b++) {
      const int64_t left = list.lengths[i] - b * SUM_BLOCK;
      f(before + b, list[i] + b * SUM_BLOCK, left < SUM_BLOCK ? left : SUM_BLOCK);
    }
    before += blocks;
  }
}

/** total [1] = sum(x^2) over all tensors: in f32 within blocks, in f64 over the blocks. */
void sumSquares(List x, f32* total) {
  int64_t blocks = 0;
  for (int64_t i = 0; i < x.count; i++) blocks += (x.lengths[i] + SUM_BLOCK - 1) / SUM_BLOCK;
  double* partialSums = reinterpret_cast<double*>(scratch(0, 2 * blocks));
  parallelFor(blocks, 1 + GRAIN / SUM_BLOCK, [&](int64_t begin, int64_t end) {
    forEachTensorBlock(x, begin, end, [&](int64_t block, const float* data, int64_t n) {
      Vec sums = 0.0f;
      for (int64_t j = 0; j < n; j += Vec::width) {
        const Vec xj = Vec::load(data + j, lanesLeft(j, n));
        sums = fma(xj, xj, sums);
      }
      partialSums[block] = reduceAdd(sums);
    });
  });
  double sum = 0;
  for (int64_t b = 0; b < blocks; b++) sum += partialSums[b];
  *total = (float)sum;
}

/** x *= min(1, maxNorm / (sqrt(total) + 1e-6)), with total [1] from sumSquares. */
void clip(List x, const f32* total, double maxNorm) {
  const double scale = maxNorm / (std::sqrt((double)*total) + 1e-6);
  if (scale >= 1) return;
  forEachRange(x, [&](int64_t i, int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      (Vec::load(x[i] + j, lanes) * Vec((float)scale)).store(x[i] + j, lanes);
    }
  });
}

/** foundInf [1] = 1 if x [1] is infinite or NaN; otherwise unchanged. */
void checkFinite(const f32* x, f32* foundInf) {
  if (!std::isfinite(*x)) *foundInf = 1;
}

} // namespace tinybard::SIMD
