// Optimizer kernels: one pass over all parameters, in place. The parameters' elements are counted
// through, and each thread has a stretch of them, which may begin and end within a parameter.

#include "kernels.h"
#include "vecmath.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 8192; // elements: fewer are not worth a second thread

/** f(tensor, begin, end): a stretch of a tensor; all stretches together cover every one once. */
template <class F>
static void eachStretch(const List& list, const F& f) {
  int64_t all = 0;
  for (int64_t i = 0; i < list.count; i++) all += list.lengths[i];
  parallelFor(all, GRAIN, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0, first = 0; i < list.count && first < end; first += list.lengths[i++]) {
      const int64_t from = begin > first ? begin - first : 0;
      const int64_t to = end - first < list.lengths[i] ? end - first : list.lengths[i];
      if (from < to) f(i, from, to);
    }
  });
}

void sgd(List w, List dw, List velocity, const f32* lr, double momentum, double weightDecay) {
  const Vec rate = *lr, keep = (float)momentum, decay = (float)weightDecay;
  eachStretch(w, [&](int64_t i, int64_t begin, int64_t end) {
    float *wi = w[i], *vi = velocity[i];
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      const Vec x = Vec::load(wi + j, lanes);
      const Vec v = fma(decay, x, fma(keep, Vec::load(vi + j, lanes), Vec::load(dw[i] + j, lanes)));
      v.store(vi + j, lanes);
      fma(-rate, v, x).store(wi + j, lanes);
    }
  });
}

void adamw(List w, List dw, List m, List v, List, List t, const f32* lr, const f32* foundInf,
           double beta1, double beta2, double eps, double weightDecay, double l2) {
  if (foundInf && *foundInf != 0) return;
  for (int64_t i = 0; i < t.count; i++) t[i][0] += 1;
  const Vec b1 = (float)beta1, b2 = (float)beta2, rest1 = (float)(1 - beta1);
  const Vec rest2 = (float)(1 - beta2), epsilon = (float)eps, penalty = (float)l2;
  const Vec kept = (float)(1 - *lr * weightDecay);
  eachStretch(w, [&](int64_t i, int64_t begin, int64_t end) {
    const Vec stepSize = (float)(*lr / (1 - std::pow(beta1, (double)t[i][0])));
    const Vec rootCorrection = (float)(1 / std::sqrt(1 - std::pow(beta2, (double)t[i][0])));
    float *wi = w[i], *mi = m[i], *vi = v[i];
    const float* dwi = dw[i];
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      const Vec x = Vec::load(wi + j, lanes), g = fma(penalty, x, Vec::load(dwi + j, lanes));
      const Vec mean = fma(rest1, g, b1 * Vec::load(mi + j, lanes));
      const Vec square = fma(rest2 * g, g, b2 * Vec::load(vi + j, lanes));
      mean.store(mi + j, lanes);
      square.store(vi + j, lanes);
      const Vec change = stepSize * mean / fma(sqrt(square), rootCorrection, epsilon);
      fma(kept, x, -change).store(wi + j, lanes);
    }
  });
}

void sumSquares(List x, f32* total) {
  constexpr int64_t block = 4096;
  int64_t blocks = 0;
  for (int64_t i = 0; i < x.count; i++) blocks += (x.lengths[i] + block - 1) / block;
  double* parts = reinterpret_cast<double*>(scratch(0, 2 * blocks));
  parallelFor(blocks, 2, [&](int64_t begin, int64_t end) {
    int64_t b = 0;
    for (int64_t i = 0; i < x.count && b < end; i++) {
      for (int64_t at = 0; at < x.lengths[i]; at += block, b++) {
        if (b < begin || b >= end) continue;
        const int64_t stop = at + block < x.lengths[i] ? at + block : x.lengths[i];
        Vec sums = 0.0f;
        for (int64_t j = at; j < stop; j += Vec::width) {
          const Vec part = Vec::load(x[i] + j, lanesLeft(j, stop));
          sums = fma(part, part, sums);
        }
        parts[b] = sum(sums);
      }
    }
  });
  double sum = 0;
  for (int64_t b = 0; b < blocks; b++) sum += parts[b];
  *total = (float)sum;
}

void clip(List x, const f32* total, double maxNorm) {
  const double scale = maxNorm / (std::sqrt((double)*total) + 1e-6);
  if (scale >= 1) return;
  eachStretch(x, [&](int64_t i, int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j += Vec::width) {
      const int64_t lanes = lanesLeft(j, end);
      (Vec::load(x[i] + j, lanes) * Vec((float)scale)).store(x[i] + j, lanes);
    }
  });
}

void checkFinite(const f32* x, f32* foundInf) {
  if (!std::isfinite(*x)) *foundInf = 1;
}

} // namespace tinybard::SIMD
