// Linear layers: matrix multiplication by a weight, with bias and activation in its epilogue.

#include "kernels.h"
#include "matmul.h"

namespace tinybard::SIMD {

/**
 * y = f(h), h = x w^T + b. x [M, K], w [N, K], b [N] or null, h [M, N] or null, y [M, N]. Bias and
 * activation are applied to each tile of y while it is in the cache.
 */
void linear(const f32* x, const f32* w, const f32* b, f32* h, f32* y, int64_t M, int64_t N,
            int64_t K, int64_t activation) {
  if (!checkActivation("linear", activation)) return;
  Gemm g;
  g.a = {x, K};
  g.b = {w, K, true};
  g.c = y;
  g.M = M;
  g.N = N;
  g.K = K;
  g.init = b ? Init::bias : Init::zero;
  g.bias = b;
  g.h = h;
  g.activation = (Activation)activation;
  g.format = Format::forRows(M);
  gemm(g);
}

/**
 * dx = dy w, multiplied by f'(h) if the layer's input was x = f(h); dw = dy^T x; db = the column
 * sums of dy. x, dx, h [M, K], w, dw [N, K], dy [M, N], db [N]. Results that are null are skipped.
 */
void linearBackward(const f32* x, const f32* w, const f32* h, const f32* dy, f32* dx, f32* dw,
                    f32* db, int64_t M, int64_t N, int64_t K, int64_t activation) {
  if (!checkActivation("linearBackward", activation)) return;
  constexpr decltype(&reluBackward) derivatives[] = {nullptr, reluBackward, geluBackward,
                                                     geluTanhBackward, relu2Backward};
  if (dx) {
    matmul(dy, w, dx, 1, M, K, N, 0, 0, false, false, false);
    // f' has a pass of its own, which is faster than reading h tile by tile in the epilogue
    if (h && activation > 0) derivatives[activation](h, dx, dx, M * K);
  }
  if (dw) matmul(dy, x, dw, 1, N, K, M, 0, 0, true, false, false);
  if (db) sum(dy, db, 1, M, N);
}

} // namespace tinybard::SIMD
