// Layer normalization, alone or after a residual stream has taken in a branch, with dropout.

#include <type_traits>

#include "kernels.h"
#include "random.cuh"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** What a kernel without dropout has in the place of DropoutRng. */
struct NoDropout {
  __device__ NoDropout(const i32*, uint32_t, uint32_t) {}
  template <int W>
  __device__ void factors(uint64_t, float (&factor)[W]) const {
    for (int k = 0; k < W; k++) factor[k] = 1;
  }
};

/** The same where no branch joins the rows. */
struct Alone {};

/** Where the rows come from: r = x + dropout(y), which is kept; or x alone. */
template <class F>
struct Residual {
  const F *x, *y;
  F* r;
  const i32* rngState;
  uint32_t site, threshold;
  bool subtractMean;
};

/** z = (r - mean) rstd w + b of each row; if they are not subtractMean, mean is 0 */
template <class F, class S, class D>
__global__ void __launch_bounds__(S::threads, S::P == 2 ? 4 : 1)
    normalize(Residual<F> from, const F* w, const F* b, F* z, f32* mean, f32* rstd, int64_t rows,
              int n, float eps) {
  constexpr int W = S::W;
  for (int64_t row = S::team(); row < rows; row += S::allTeams()) {
    const int64_t at = row * n;
    Row<F, S> r(from.x + at, n);
    if constexpr (!std::is_same_v<D, Alone>) {
      const D dropoutRng(from.rngState, from.site, from.threshold);
      const Row<F, S> y(from.y + at, n);
      S::each(n, [&](int i, int p) {
        Vector<F, W> sum = r.at(i, p);
        const Vector<F, W> branch = y.at(i, p);
        float factor[W];
        dropoutRng.factors(at + i, factor);
        for (int k = 0; k < W; k++)
          sum.at[k] = roundTo<F>(fmaf(toFloat(branch.at[k]), factor[k], toFloat(sum.at[k])));
        store(from.r + at + i, sum);
        r.held[p] = sum;
      });
      r.x = from.r + at;
    }
    float m = 0, squares = 0;
    if (from.subtractMean) {
      S::each(n, [&](int i, int p) {
        const Vector<F, W> v = r.at(i, p);
        for (int k = 0; k < W; k++) m += toFloat(v.at[k]);
      });
      m = S::sum(m) / n;
    }
    S::each(n, [&](int i, int p) {
      const Vector<F, W> v = r.at(i, p);
      for (int k = 0; k < W; k++) {
        const float d = toFloat(v.at[k]) - m;
        squares = fmaf(d, d, squares);
      }
    });
    const float s = 1 / sqrtf(S::sum(squares) / n + eps);
    S::each(n, [&](int i, int p) {
      Vector<F, W> v = r.at(i, p), shift = {};
      const Vector<F, W> scale = load<W>(w + i);
      if (b) shift = load<W>(b + i);
      for (int k = 0; k < W; k++) {
        const float xHat = (toFloat(v.at[k]) - m) * s;
        v.at[k] = roundTo<F>(fmaf(xHat, toFloat(scale.at[k]), toFloat(shift.at[k])));
      }
      store(z + at + i, v);
    });
    if (S::rank() == 0) {
      mean[row] = m;
      rstd[row] = s;
    }
  }
}

/**
 * What flows back: dz, dr (or null) come in; dx goes out, and those of dy = dropout(dx), dw and db
 * that are not null.
 */
template <class F>
struct Gradients {
  const F *dr, *dz;
  F *dx, *dy;
  f32 *dw, *db;
  const i32* rngState;
  uint32_t site, threshold;
  bool subtractMean;
};

/**
 * With xHat = (r - mean) rstd and g = dz w:  dx = dr + rstd (g - mean(g) - xHat mean(g xHat)),
 * without mean(g) if rows are not subtractMean; dw = sum(dz xHat) and db = sum(dz) over the rows. Each
 * thread adds up its own columns of its team's rows, in registers, or where its row is too long in
 * its block's slab; then the teams of a block are added, then the blocks' slabs [blocks, dw n and
 * db n].
 */
template <class F, class S, class D>
__global__ void __launch_bounds__(S::threads, 512 / S::threads)
    normalizeBackward(const F* r, const F* w, const f32* mean, const f32* rstd, Gradients<F> d,
                      f32* slabs, unsigned* counters, int64_t rows, int n) {
  constexpr int W = S::W, P = S::P > 0 ? S::P : 1;
  constexpr bool isHeld = S::P > 0;
  const bool isWanted = d.dw || d.db;
  f32* slab = slabs + (int64_t)blockIdx.x * 2 * n;
  Vector<float, W> dw[P] = {}, db[P] = {};
  const Row<F, S> scale(w, n);
  if (!isHeld && isWanted) {
    S::each(n, [&](int i, int p) {
      store(slab + i, dw[p]);
      store(slab + n + i, db[p]);
    });
  }
  for (int64_t first = blockIdx.x * S::teams; first < rows; first += S::allTeams()) {
    const int64_t row = first + threadIdx.x / S::T, at = row * n;
    const int width = row < rows ? n : 0; // teams without a row only come along
    const Row<F, S> x(r + at, width), dz(d.dz + at, width), dr(d.dr + at, d.dr ? width : 0);
    const float m = width > 0 ? mean[row] : 0, s = width > 0 ? rstd[row] : 0;
    float sumG = 0, sumGX = 0;
    S::each(width, [&](int i, int p) {
      const Vector<F, W> xi = x.at(i, p), dzi = dz.at(i, p), wi = scale.at(i, p);
      if (!isHeld && isWanted) {
        dw[0] = load<W>(slab + i);
        db[0] = load<W>(slab + n + i);
      }
      for (int k = 0; k < W; k++) {
        const float xHat = (toFloat(xi.at[k]) - m) * s, dzk = toFloat(dzi.at[k]);
        const float g = dzk * toFloat(wi.at[k]);
        sumG += g;
        sumGX = fmaf(g, xHat, sumGX);
        dw[p].at[k] = fmaf(dzk, xHat, dw[p].at[k]);
        db[p].at[k] += dzk;
      }
      if (!isHeld && isWanted) {
        store(slab + i, dw[0]);
        store(slab + n + i, db[0]);
      }
    });
    const float meanG = d.subtractMean ? S::sum(sumG) / n : 0, meanGX = S::sum(sumGX) / n;
    const D dropoutRng(d.rngState, d.site, d.threshold);
    S::each(width, [&](int i, int p) {
      const Vector<F, W> xi = x.at(i, p), dzi = dz.at(i, p), wi = scale.at(i, p);
      Vector<F, W> dx, dy, more = {};
      if (d.dr) more = dr.at(i, p);
      float factor[W];
      if (d.dy) dropoutRng.factors(at + i, factor);
      for (int k = 0; k < W; k++) {
        const float xHat = (toFloat(xi.at[k]) - m) * s;
        const float g = toFloat(dzi.at[k]) * toFloat(wi.at[k]);
        const float slope = fmaf(s, g - meanG - xHat * meanGX, toFloat(more.at[k]));
        dx.at[k] = roundTo<F>(slope);
        if (d.dy) dy.at[k] = roundTo<F>(slope * factor[k]);
      }
      store(d.dx + at + i, dx);
      if (d.dy) store(d.dy + at + i, dy);
    });
  }
  if (!isWanted) return;
  if constexpr (S::teams > 1) {
    DYNAMIC_SHARED(float, sums); // of each team
    float* own = sums + threadIdx.x / S::T * 2 * n;
    S::each(n, [&](int i, int p) {
      store(own + i, dw[p]);
      store(own + n + i, db[p]);
    });
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * n; i += S::threads) {
      float sum = sums[i];
#pragma unroll
      for (int team = 1; team < S::teams; team++) sum += sums[team * 2 * n + i];
      slab[i] = sum;
    }
  } else if (isHeld) {
    S::each(n, [&](int i, int p) {
      store(slab + i, dw[p]);
      store(slab + n + i, db[p]);
    });
  }
  if (!reducePartials(slabs, 2 * n, 2 * n, blockIdx.x, gridDim.x, counters)) return;
  for (int i = threadIdx.x; i < n; i += S::threads) {
    if (d.dw) d.dw[i] = slabs[i];
    if (d.db) d.db[i] = slabs[n + i];
  }
}

template <class F, class D>
void forward(const Residual<F>& from, const F* w, const F* b, F* z, f32* mean, f32* rstd,
             int64_t rows, int64_t n, double eps) {
  withShape<F>(canVectorize<F>(n, from.x, from.y, from.r, w, b, z), n, [&](auto shape) {
    using S = decltype(shape);
    launch(normalize<F, S, D>, rowGrid<S>(rows), S::threads, 0, from, w, b, z, mean, rstd, rows,
           (int)n, (float)eps);
  });
}

template <class F, class D>
void backward(const F* r, const F* w, const f32* mean, const f32* rstd, const Gradients<F>& d,
              int64_t rows, int64_t n) {
  const auto run = [&](auto shape) {
    using S = decltype(shape);
    constexpr int64_t most = 264; // blocks: two on each multiprocessor of an H100
    const Dim grid = rowGrid<S>(rows > 0 ? rows : 1, most); // one at least: dw is written anyway
    const size_t shared = S::teams > 1 ? S::teams * 2 * n * sizeof(f32) : 0;
    launch(normalizeBackward<F, S, D>, grid, S::threads, shared, r, w, mean, rstd, d,
           static_cast<f32*>(workspace(grid.x * 2 * n * sizeof(f32))),
           counters(partialCounters(grid.x)), rows, (int)n);
  };
  constexpr int W = Pack<F>::size;
  const int64_t pieces = n / W; // of which few to a thread leave room for the sums
  if (!canVectorize<F>(n, r, w, d.dr, d.dz, d.dx, d.dy)) run(Shape<1, 0, 512>());
  else if (pieces <= 32) run(Shape<W, 1, 32>());
  else if (pieces <= 64) run(Shape<W, 2, 32>());
  else if (pieces <= 128) run(Shape<W, 1, 128>());
  else if (pieces <= 256) run(Shape<W, 1, 256>());
  else if (pieces <= 1024) run(Shape<W, 2, 512>());
  else run(Shape<W, 0, 512>());
}

} // namespace

template <class F>
void layerNorm(const F* x, const F* w, const F* b, F* y, f32* mean, f32* rstd, int64_t rows,
               int64_t n, double eps, bool subtractMean) {
  const Residual<F> from = {x, nullptr, nullptr, nullptr, 0, 0, subtractMean};
  forward<F, Alone>(from, w, b, y, mean, rstd, rows, n, eps);
}
FOR_FLOATS(layerNorm)

template <class F>
void layerNormBackward(const F* x, const F* w, const f32* mean, const f32* rstd, const F* dy, F* dx,
                       f32* dw, f32* db, int64_t rows, int64_t n, bool subtractMean) {
  const Gradients<F> d = {nullptr, dy, dx, nullptr, dw, db, nullptr, 0, 0, subtractMean};
  backward<F, NoDropout>(x, w, mean, rstd, d, rows, n);
}
FOR_FLOATS(layerNormBackward)

template <class F>
void residualLayerNorm(const F* x, const F* y, const F* w, const F* b, F* r, F* z, f32* mean,
                       f32* rstd, const i32* rngState, int64_t rows, int64_t n, double eps,
                       int64_t site, double p, bool subtractMean) {
  const Residual<F> from = {x, y, r, rngState, (uint32_t)site, DropoutRng::toThreshold(p), subtractMean};
  if (from.threshold == 0) forward<F, NoDropout>(from, w, b, z, mean, rstd, rows, n, eps);
  else forward<F, DropoutRng>(from, w, b, z, mean, rstd, rows, n, eps);
}
FOR_FLOATS(residualLayerNorm)

template <class F>
void residualLayerNormBackward(const F* r, const F* w, const f32* mean, const f32* rstd,
                               const F* dr, const F* dz, F* dx, F* dy, f32* dw, f32* db,
                               const i32* rngState, int64_t rows, int64_t n, int64_t site, double p,
                               bool subtractMean) {
  const Gradients<F> d = {dr, dz,    dx,             dy,                   dw,
                          db, rngState, (uint32_t)site, DropoutRng::toThreshold(p), subtractMean};
  if (!dy || d.threshold == 0) backward<F, NoDropout>(r, w, mean, rstd, d, rows, n);
  else backward<F, DropoutRng>(r, w, mean, rstd, d, rows, n);
}
FOR_FLOATS(residualLayerNormBackward)

} // namespace tinybard::cuda
