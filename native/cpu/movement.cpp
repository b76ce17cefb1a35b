// Movement kernels: data moves, nothing is computed.

#include "kernels.h"
#include "simd.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 16384; // elements: fewer are not worth a second thread

static inline void move(word* to, const word* from, int64_t n) {
  std::memcpy(to, from, (size_t)n * sizeof(word));
}

void copy(const any* x, any* y, int64_t n) {
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    const size_t bytes = (size_t)(end - begin) * sizeof(word);
    const f32* xf = static_cast<const f32*>(x->data);
    const i32* xi = static_cast<const i32*>(x->data);
    f32* yf = static_cast<f32*>(y->data);
    i32* yi = static_cast<i32*>(y->data);
    if (x->type == y->type) std::memcpy(yf + begin, xf + begin, bytes);
    else if (y->type == Type::f32)
      for (int64_t i = begin; i < end; i++) yf[i] = (f32)xi[i];
    else
      for (int64_t i = begin; i < end; i++) yi[i] = toInt32(xf[i]);
  });
}

void fill(any* y, double value, int64_t n) {
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    f32* yf = static_cast<f32*>(y->data);
    i32* yi = static_cast<i32*>(y->data);
    if (y->type == Type::f32)
      for (int64_t i = begin; i < end; i++) yf[i] = (f32)value;
    else
      for (int64_t i = begin; i < end; i++) yi[i] = toInt32(value);
  });
}

/** y [q, p] = x [p, q], in squares that fit the registers. */
static void transposeMatrix(const word* x, word* y, int64_t p, int64_t q) {
  constexpr int64_t W = Vec::width;
  const int64_t pWhole = p / W * W, qWhole = q / W * W;
  const float* from = reinterpret_cast<const float*>(x);
  float* to = reinterpret_cast<float*>(y);
  parallelFor(q, 1 + GRAIN / (p + 1) / W * W, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; j++) {
      if (j % W == 0 && j + W <= end && j < qWhole) {
        for (int64_t i = 0; i < pWhole; i += W)
          transposeSquare(from + i * q + j, q, to + j * p + i, p);
        for (int64_t k = j; k < j + W; k++)
          for (int64_t i = pWhole; i < p; i++) y[k * p + i] = x[i * q + k];
        j += W - 1;
      } else {
        for (int64_t i = 0; i < p; i++) y[j * p + i] = x[i * q + j];
      }
    }
  });
}

void transpose(const word* x, word* y, int64_t outer, int64_t p, int64_t q, int64_t inner) {
  if (inner == 1) {
    for (int64_t o = 0; o < outer; o++) transposeMatrix(x + o * p * q, y + o * p * q, p, q);
    return;
  }
  parallelFor(outer * q, 1 + GRAIN / (p * inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t oq = begin; oq < end; oq++) {
      const int64_t o = oq / q, j = oq % q;
      for (int64_t i = 0; i < p; i++)
        move(y + (oq * p + i) * inner, x + ((o * p + i) * q + j) * inner, inner);
    }
  });
}

void expand(const word* x, word* y, int64_t outer, int64_t n, int64_t inner) {
  parallelFor(outer * n, 1 + GRAIN / (inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const word* from = x + r / n * inner;
      if (inner == 1) y[r] = *from;
      else move(y + r * inner, from, inner);
    }
  });
}

/** Whether count elements from `start` lie within n; if not, says so. */
static bool isPart(const char* kernel, int64_t start, int64_t count, int64_t n) {
  if (start + count <= n) return true;
  kernelError("%s: start %lld and count %lld, expected at most %lld together",
              kernel, (long long)start, (long long)count, (long long)n);
  return false;
}

void slice(const word* x, word* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
           int64_t count) {
  if (!isPart("slice", start, count, n)) return;
  parallelFor(outer, 1 + GRAIN / (count * inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++)
      move(y + o * count * inner, x + (o * n + start) * inner, count * inner);
  });
}

void sliceUpdate(const word* x, word* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
           int64_t count) {
  if (!isPart("sliceUpdate", start, count, n)) return;
  parallelFor(outer, 1 + GRAIN / (count * inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++)
      move(y + (o * n + start) * inner, x + o * count * inner, count * inner);
  });
}

void embedding(const i32* idx, const f32* w, f32* y, int64_t rows, int64_t V, int64_t C) {
  if (!checkIndices("embedding", "idx", idx, rows, V)) return;
  parallelFor(rows, 1 + GRAIN / (C + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      std::memcpy(y + r * C, w + idx[r] * C, (size_t)C * sizeof(f32));
  });
}

void embeddingBackward(const i32* idx, const f32* dy, f32* dw, int64_t rows, int64_t V, int64_t C) {
  if (!checkIndices("embeddingBackward", "idx", idx, rows, V)) return;
  std::memset(dw, 0, (size_t)(V * C) * sizeof(f32));
  const int64_t grain = rows * C < GRAIN ? C : Vec::width; // each thread has some of the columns
  parallelFor(C, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rows; r++) {
      float* row = dw + idx[r] * C;
      for (int64_t c = begin; c < end; c += Vec::width) {
        const int64_t lanes = lanesLeft(c, end);
        (Vec::load(row + c, lanes) + Vec::load(dy + r * C + c, lanes)).store(row + c, lanes);
      }
    }
  });
}

} // namespace tinybard::SIMD
