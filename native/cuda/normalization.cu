// Layer normalization (Ba et al. 2016) and, without the mean, RMS normalization; plain, or fused
// with the addition of a branch to the residual stream and the branch's dropout. The plain kernels
// are the special case NoResidual: both share normalizeRow() and normalizeRowBackward().

#include <type_traits>

#include "kernels.h"
#include "random.cuh"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** Takes the place of DropoutRng in kernels without dropout: all factors are 1. */
struct NoDropout {
  __device__ NoDropout(const i32*, uint32_t, uint32_t) {}
  template <int W>
  __device__ void factors(uint64_t, float (&factor)[W]) const {
    for (int k = 0; k < W; k++) factor[k] = 1;
  }
};

/** Takes the place of DropoutRng in kernels that add no branch. */
struct NoResidual {};

/** The rows to normalize: r = x + dropout(y), which is stored, or just x. x, y, r [rows, n] */
template <class F>
struct NormInput {
  const F* x;
  const F* y; // the branch
  F* r;       // the residual stream after the addition
  const i32* rngState;
  uint32_t site;
  uint32_t threshold;
  bool subtractMean; // false: RMS normalization, mean is 0
};

/**
 * z = (r - mean) rstd w + b of row `row`, with rstd = 1 / sqrt(mean((r - mean)^2) + eps). The
 * row's thread group calls it together. w [n]; b [n] or null; z [rows, n]; mean, rstd [rows]
 */
template <class F, class Layout>
__device__ inline void normalizeRow(const Row<F, Layout>& r, const F* w, const F* b, F* z,
                                    f32* mean, f32* rstd, int64_t row, int n, float eps,
                                    bool subtractMean) {
  constexpr int W = Layout::W;
  float m = 0;
  if (subtractMean) {
    RowSum<Layout> sum;
    Layout::forEachVector(n, [&](int i, int v) {
      const Vector<F, W> ri = r.at(i, v);
      for (int k = 0; k < W; k++) sum.block += toFloat(ri.at[k]);
      sum.endVector(i);
    });
    m = sum.ofRow() / n;
  }
  RowSum<Layout> squares;
  Layout::forEachVector(n, [&](int i, int v) {
    const Vector<F, W> ri = r.at(i, v);
    for (int k = 0; k < W; k++) {
      const float d = toFloat(ri.at[k]) - m;
      squares.block = fmaf(d, d, squares.block);
    }
    squares.endVector(i);
  });
  const float s = 1 / sqrtf(squares.ofRow() / n + eps);
  Layout::forEachVector(n, [&](int i, int v) {
    Vector<F, W> zi = r.at(i, v);
    const Vector<F, W> scale = load<W>(w + i);
    Vector<F, W> shift = {};
    if (b) shift = load<W>(b + i);
    for (int k = 0; k < W; k++) {
      const float xHat = (toFloat(zi.at[k]) - m) * s;
      zi.at[k] = roundTo<F>(fmaf(xHat, toFloat(scale.at[k]), toFloat(shift.at[k])));
    }
    store(z + row * n + i, zi);
  });
  if (Layout::rank() == 0) {
    mean[row] = m;
    rstd[row] = s;
  }
}

/**
 * Normalizes all rows, after adding the branch unless Dropout is NoResidual. z [rows, n]; w [n];
 * b [n] or null; mean, rstd [rows]. A thread group has a row; see rowGrid().
 */
template <class F, class Layout, class Dropout>
__global__ void __launch_bounds__(Layout::blockSize, Layout::vectors == 2 ? 4 : 1)
    normalizeRows(NormInput<F> input, const F* w, const F* b, F* z, f32* mean, f32* rstd,
                  int64_t rows, int n, float eps) {
  constexpr int W = Layout::W;
  for (int64_t row = Layout::threadGroup(); row < rows; row += Layout::groupCount()) {
    const int64_t offset = row * n;
    Row<F, Layout> r(input.x + offset, n);
    if constexpr (!std::is_same_v<Dropout, NoResidual>) {
      const Dropout dropout(input.rngState, input.site, input.threshold);
      const Row<F, Layout> y(input.y + offset, n);
      Layout::forEachVector(n, [&](int i, int v) {
        Vector<F, W> sum = r.at(i, v);
        const Vector<F, W> branch = y.at(i, v);
        float factor[W];
        dropout.factors(offset + i, factor);
        for (int k = 0; k < W; k++)
          sum.at[k] = roundTo<F>(fmaf(toFloat(branch.at[k]), factor[k], toFloat(sum.at[k])));
        store(input.r + offset + i, sum);
        r.registers[v] = sum;
      });
      r.x = input.r + offset;
    }
    normalizeRow(r, w, b, z, mean, rstd, row, n, eps, input.subtractMean);
  }
}

/** The gradients of the backward pass. Those of r, z, x and the branch y are [rows, n]. */
template <class F>
struct NormGradients {
  const F* dr; // in: from later uses of r, or null
  const F* dz; // in
  F* dx;       // out
  F* dy;       // out: dropout(dx), or null
  f32* dw;     // out: [n], or null
  f32* db;     // out: [n], or null
  const i32* rngState;
  uint32_t site;
  uint32_t threshold;
  bool subtractMean;
};

/** A thread's sums for dw and db: in registers if the layout bounds them, otherwise in memory. */
template <class Layout>
struct ParamGradSums {
  static constexpr bool inRegisters = Layout::vectors > 0;
  static constexpr int count = inRegisters ? Layout::vectors : 1;
  Vector<float, Layout::W> dw[count] = {};
  Vector<float, Layout::W> db[count] = {};

  /** Stores them in `partials` [2, n]: dw, then db. */
  __device__ void storeTo(float* partials, int n) const {
    Layout::forEachVector(n, [&](int i, int v) {
      store(partials + i, dw[v]);
      store(partials + n + i, db[v]);
    });
  }

  /** Adds them, or those in `memory` [2, n], to `partials` [2, n], or stores them if isFirst. */
  __device__ void addTo(float* partials, const float* memory, int n, bool isFirst) const {
    constexpr int W = Layout::W;
    const auto add = [&](const Vector<float, W>& own, int i) {
      Vector<float, W> sum = inRegisters ? own : load<W>(memory + i);
      const Vector<float, W> before = isFirst ? Vector<float, W>{} : load<W>(partials + i);
      for (int k = 0; k < W; k++) sum.at[k] += before.at[k];
      store(partials + i, sum);
    };
    Layout::forEachVector(n, [&](int i, int v) {
      add(dw[v], i);
      add(db[v], n + i);
    });
  }
};

/**
 * The backward pass of row `row`: with xHat = (r - mean) rstd and g = dz w,
 *
 *   dx = dr + rstd (g - mean(g) - xHat mean(g xHat))    without mean(g) unless subtractMean
 *   dy = dropout(dx)
 *
 * and dz xHat and dz are added to this thread's sums of dw and db, which lie in `partials` [2, n]
 * if not in registers. All threads of a block call it together; width is n, or 0 in a thread group
 * that has no row.
 */
template <class Dropout, class F, class Layout>
__device__ inline void normalizeRowBackward(const F* r, const Row<F, Layout>& w, const f32* mean,
                                            const f32* rstd, const NormGradients<F>& d,
                                            ParamGradSums<Layout>& sums, float* partials,
                                            int64_t row, int width, int n) {
  constexpr int W = Layout::W;
  constexpr bool inRegisters = ParamGradSums<Layout>::inRegisters;
  const bool hasParamGrads = d.dw || d.db;
  const int64_t offset = row * n;
  const Row<F, Layout> x(r + offset, width);
  const Row<F, Layout> dz(d.dz + offset, width);
  const Row<F, Layout> dr(d.dr + offset, d.dr ? width : 0);
  const float m = width > 0 ? mean[row] : 0;
  const float s = width > 0 ? rstd[row] : 0;
  RowSum<Layout> sumG;
  RowSum<Layout> sumGX;
  Layout::forEachVector(width, [&](int i, int v) {
    const Vector<F, W> xi = x.at(i, v);
    const Vector<F, W> dzi = dz.at(i, v);
    const Vector<F, W> wi = w.at(i, v);
    if (!inRegisters && hasParamGrads) {
      sums.dw[0] = load<W>(partials + i);
      sums.db[0] = load<W>(partials + n + i);
    }
    for (int k = 0; k < W; k++) {
      const float xHat = (toFloat(xi.at[k]) - m) * s;
      const float dzk = toFloat(dzi.at[k]);
      const float g = dzk * toFloat(wi.at[k]);
      sumG.block += g;
      sumGX.block = fmaf(g, xHat, sumGX.block);
      sums.dw[v].at[k] = fmaf(dzk, xHat, sums.dw[v].at[k]);
      sums.db[v].at[k] += dzk;
    }
    if (!inRegisters && hasParamGrads) {
      store(partials + i, sums.dw[0]);
      store(partials + n + i, sums.db[0]);
    }
    sumG.endVector(i);
    sumGX.endVector(i);
  });
  const float meanG = d.subtractMean ? sumG.ofRow() / n : 0;
  const float meanGX = sumGX.ofRow() / n;
  const Dropout dropout(d.rngState, d.site, d.threshold);
  Layout::forEachVector(width, [&](int i, int v) {
    const Vector<F, W> xi = x.at(i, v);
    const Vector<F, W> dzi = dz.at(i, v);
    const Vector<F, W> wi = w.at(i, v);
    Vector<F, W> dri = {};
    if (d.dr) dri = dr.at(i, v);
    float factor[W];
    if (d.dy) dropout.factors(offset + i, factor);
    Vector<F, W> dx;
    Vector<F, W> dy;
    for (int k = 0; k < W; k++) {
      const float xHat = (toFloat(xi.at[k]) - m) * s;
      const float g = toFloat(dzi.at[k]) * toFloat(wi.at[k]);
      const float dxk = fmaf(s, g - meanG - xHat * meanGX, toFloat(dri.at[k]));
      dx.at[k] = roundTo<F>(dxk);
      if (d.dy) dy.at[k] = roundTo<F>(dxk * factor[k]);
    }
    store(d.dx + offset + i, dx);
    if (d.dy) store(d.dy + offset + i, dy);
  });
}

/**
 * The backward pass of all rows, and dw = sum(dz xHat), db = sum(dz) over the rows. A thread sums
 * over SUM_LENGTH rows of its group; then the groups of a block are added, in dynamic shared memory
 * [groupsPerBlock, 2, n], to the block's partials. In the end the blocks' partials [blocks, 2, n]
 * are added in a fixed order. If the threads' sums do not fit into registers, they follow the
 * partials, as another [blocks, 2, n]. r [rows, n]; w [n]; mean, rstd [rows].
 */
template <class F, class Layout, class Dropout>
__global__ void __launch_bounds__(Layout::blockSize, 512 / Layout::blockSize)
    normalizeRowsBackward(const F* r, const F* w, const f32* mean, const f32* rstd,
                          NormGradients<F> d, f32* partials, unsigned* counters, int64_t rows,
                          int n) {
  constexpr bool inRegisters = ParamGradSums<Layout>::inRegisters;
  constexpr int groups = Layout::groupsPerBlock;
  const bool hasParamGrads = d.dw || d.db;
  f32* blockPartials = partials + (int64_t)blockIdx.x * 2 * n;
  f32* memorySums = partials + ((int64_t)gridDim.x + blockIdx.x) * 2 * n;
  const Row<F, Layout> wRow(w, n);
  int64_t first = blockIdx.x * groups;
  for (bool isFirst = true; isFirst || first < rows; isFirst = false) {
    ParamGradSums<Layout> sums;
    if (!inRegisters && hasParamGrads) sums.storeTo(memorySums, n);
    for (int i = 0; i < SUM_LENGTH && first < rows; i++, first += Layout::groupCount()) {
      const int64_t row = first + Layout::groupInBlock();
      const int width = row < rows ? n : 0; // groups without a row only take part in barriers
      normalizeRowBackward<Dropout>(r, wRow, mean, rstd, d, sums, memorySums, row, width, n);
    }
    if (!hasParamGrads) continue;
    if constexpr (groups > 1) {
      DYNAMIC_SHARED(float, groupSums);
      __syncthreads(); // all threads have read the sums before
      sums.storeTo(groupSums + Layout::groupInBlock() * 2 * n, n);
      __syncthreads();
      for (int i = threadIdx.x; i < 2 * n; i += Layout::blockSize) {
        float sum = groupSums[i];
#pragma unroll
        for (int group = 1; group < groups; group++) sum += groupSums[group * 2 * n + i];
        blockPartials[i] = isFirst ? sum : blockPartials[i] + sum;
      }
    } else {
      sums.addTo(blockPartials, memorySums, n, isFirst);
    }
  }
  if (!hasParamGrads) return;
  if (!reducePartials(partials, 2 * n, 2 * n, blockIdx.x, gridDim.x, counters)) return;
  for (int i = threadIdx.x; i < n; i += Layout::blockSize) {
    if (d.dw) d.dw[i] = partials[i];
    if (d.db) d.db[i] = partials[n + i];
  }
}

template <class F, class Dropout>
void forward(const NormInput<F>& input, const F* w, const F* b, F* z, f32* mean, f32* rstd,
             int64_t rows, int64_t n, double eps) {
  const bool vectorize = canVectorize<F>(n, input.x, input.y, input.r, w, b, z);
  dispatchRowLayout<F>(vectorize, n, [&](auto layout) {
    using Layout = decltype(layout);
    launch(normalizeRows<F, Layout, Dropout>, rowGrid<Layout>(rows), Layout::blockSize, 0, input,
           w, b, z, mean, rstd, rows, (int)n, (float)eps);
  });
}

template <class F, class Dropout>
void backward(const F* r, const F* w, const f32* mean, const f32* rstd, const NormGradients<F>& d,
              int64_t rows, int64_t n) {
  const auto run = [&](auto layout) {
    using Layout = decltype(layout);
    constexpr int64_t maxBlocks = 264; // two on each multiprocessor of an H100
    const Dim grid = rowGrid<Layout>(rows > 0 ? rows : 1, maxBlocks); // without rows, dw = db = 0
    constexpr int groups = Layout::groupsPerBlock;
    const size_t sharedBytes = groups > 1 ? groups * 2 * n * sizeof(f32) : 0;
    const int64_t parts = ParamGradSums<Layout>::inRegisters ? grid.x : 2 * grid.x;
    f32* partials = static_cast<f32*>(workspace(parts * 2 * n * sizeof(f32)));
    unsigned* arrivals = counters(partialCounters(grid.x));
    launch(normalizeRowsBackward<F, Layout, Dropout>, grid, Layout::blockSize, sharedBytes, r, w,
           mean, rstd, d, partials, arrivals, rows, (int)n);
  };
  constexpr int W = Pack<F>::size;
  const int64_t vectors = n / W; // few per thread, so that registers remain for the sums
  if (!canVectorize<F>(n, r, w, d.dr, d.dz, d.dx, d.dy)) run(RowLayout<1, 0, 512>());
  else if (vectors <= 32) run(RowLayout<W, 1, 32>());
  else if (vectors <= 64) run(RowLayout<W, 2, 32>());
  else if (vectors <= 128) run(RowLayout<W, 1, 128>());
  else if (vectors <= 256) run(RowLayout<W, 1, 256>());
  else if (vectors <= 1024) run(RowLayout<W, 2, 512>());
  else run(RowLayout<W, 0, 512>());
}

} // namespace

template <class F>
void layerNorm(const F* x, const F* w, const F* b, F* y, f32* mean, f32* rstd, int64_t rows,
               int64_t n, double eps, bool subtractMean) {
  NormInput<F> input = {};
  input.x = x;
  input.subtractMean = subtractMean;
  forward<F, NoResidual>(input, w, b, y, mean, rstd, rows, n, eps);
}
FOR_FLOATS(layerNorm)

template <class F>
void layerNormBackward(const F* x, const F* w, const f32* mean, const f32* rstd, const F* dy, F* dx,
                       f32* dw, f32* db, int64_t rows, int64_t n, bool subtractMean) {
  NormGradients<F> d = {};
  d.dz = dy;
  d.dx = dx;
  d.dw = dw;
  d.db = db;
  d.subtractMean = subtractMean;
  backward<F, NoDropout>(x, w, mean, rstd, d, rows, n);
}
FOR_FLOATS(layerNormBackward)

template <class F>
void residualLayerNorm(const F* x, const F* y, const F* w, const F* b, F* r, F* z, f32* mean,
                       f32* rstd, const i32* rngState, int64_t rows, int64_t n, double eps,
                       int64_t site, double p, bool subtractMean) {
  NormInput<F> input;
  input.x = x;
  input.y = y;
  input.r = r;
  input.rngState = rngState;
  input.site = (uint32_t)site;
  input.threshold = DropoutRng::toThreshold(p);
  input.subtractMean = subtractMean;
  if (input.threshold == 0) forward<F, NoDropout>(input, w, b, z, mean, rstd, rows, n, eps);
  else forward<F, DropoutRng>(input, w, b, z, mean, rstd, rows, n, eps);
}
FOR_FLOATS(residualLayerNorm)

template <class F>
void residualLayerNormBackward(const F* r, const F* w, const f32* mean, const f32* rstd,
                               const F* dr, const F* dz, F* dx, F* dy, f32* dw, f32* db,
                               const i32* rngState, int64_t rows, int64_t n, int64_t site, double p,
                               bool subtractMean) {
  NormGradients<F> d;
  d.dr = dr;
  d.dz = dz;
  d.dx = dx;
  d.dy = dy;
  d.dw = dw;
  d.db = db;
  d.rngState = rngState;
  d.site = (uint32_t)site;
  d.threshold = DropoutRng::toThreshold(p);
  d.subtractMean = subtractMean;
  if (!dy || d.threshold == 0) backward<F, NoDropout>(r, w, mean, rstd, d, rows, n);
  else backward<F, DropoutRng>(r, w, mean, rstd, d, rows, n);
}
FOR_FLOATS(residualLayerNormBackward)

} // namespace tinybard::cuda
