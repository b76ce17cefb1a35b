// Optimizer kernels: each is one launch over all parameters, in place ("multi-tensor apply"). A
// table on the device lists the parameters; their elements are divided into chunks, which are
// numbered through all parameters, and a block processes a chunk.

#include "block.cuh"
#include "kernels.h"
#include "tensor_core.cuh"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

constexpr int64_t CHUNK = 8192; // elements

/** The buffers of one parameter. Those that a kernel does not use are null. */
struct ParamBuffers {
  f32* w;
  f32* dw;
  f32* m;
  f32* v;        // second moment; velocity for SGD
  f32* t;        // [1], the number of updates
  bf16* bf16Copy;
  int64_t length;
  int64_t firstChunk;
  int64_t vectorize; // all buffers are 16-byte aligned; int64_t, which avoids padding
};

/** The parameters of a launch, in device memory. */
struct ParamTable {
  const ParamBuffers* params;
  int64_t count;
  int64_t chunks;
};

/** Elements begin to end - 1 of a parameter. */
struct Chunk {
  ParamBuffers param;
  int64_t begin;
  int64_t end;
};

/** Returns chunk i of all, by binary search for the last parameter with firstChunk <= i. */
__device__ inline Chunk findChunk(const ParamTable& table, int64_t i) {
  int64_t low = 0;
  int64_t high = table.count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (table.params[middle].firstChunk <= i) low = middle;
    else high = middle;
  }
  const ParamBuffers& param = table.params[low];
  const int64_t begin = (i - param.firstChunk) * CHUNK;
  const int64_t end = begin + CHUNK;
  return {param, begin, end < param.length ? end : param.length};
}

/** Calls rule.update<W>(param, j) for each W elements of a chunk, from j on: 4, or 1 at the end. */
template <class Rule>
__device__ inline void updateChunk(const Chunk& chunk, const Rule& rule) {
  int64_t j = chunk.begin + 4 * threadIdx.x;
  if (chunk.param.vectorize)
    for (; j + 4 <= chunk.end; j += 4 * BLOCK_SIZE) rule.template update<4>(chunk.param, j);
  const int64_t vectorEnd = chunk.begin + (chunk.end - chunk.begin) / 4 * 4;
  j = (chunk.param.vectorize ? vectorEnd : chunk.begin) + threadIdx.x;
  for (; j < chunk.end; j += BLOCK_SIZE) rule.template update<1>(chunk.param, j);
}

/** SGD with momentum: v = momentum v + dw + weightDecay w, w = w - lr v. */
struct Sgd {
  float lr, momentum, weightDecay;

  template <int W>
  __device__ void update(const ParamBuffers& param, int64_t j) const {
    Vector<float, W> w = load<W>(param.w + j);
    Vector<float, W> v = load<W>(param.v + j);
    const Vector<float, W> dw = load<W>(param.dw + j);
    for (int k = 0; k < W; k++) {
      // a factor of 0 skips its term, which is NaN for an infinite velocity or weight
      const float kept = momentum != 0 ? fmaf(momentum, v.at[k], dw.at[k]) : dw.at[k];
      v.at[k] = weightDecay != 0 ? fmaf(weightDecay, w.at[k], kept) : kept;
      w.at[k] = fmaf(-lr, v.at[k], w.at[k]);
    }
    store(param.v + j, v);
    store(param.w + j, w);
  }
};

/** Block i updates chunk i, unless a gradient was not finite (foundInf [1], or null). lr [1] */
__global__ void sgdStep(ParamTable table, const f32* lr, const f32* foundInf, float momentum,
                        float weightDecay) {
  if (foundInf && *foundInf != 0) return;
  updateChunk(findChunk(table, blockIdx.x), Sgd{*lr, momentum, weightDecay});
}

/**
 * AdamW (Loshchilov and Hutter 2019), with g = dw + l2 w and t counted from 1:
 *
 *   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *   w = (1 - lr weightDecay) w - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * The last three fields depend on lr and t, which are in device memory.
 */
struct AdamW {
  float beta1;
  float beta2;
  float oneMinusBeta1;
  float oneMinusBeta2;
  float eps;
  float l2;
  float decayFactor;    // 1 - lr weightDecay
  float stepSize;       // lr / (1 - beta1^t)
  float rootCorrection; // 1 / sqrt(1 - beta2^t)

  template <int W>
  __device__ void update(const ParamBuffers& param, int64_t j) const {
    Vector<float, W> w = load<W>(param.w + j);
    Vector<float, W> m = load<W>(param.m + j);
    Vector<float, W> v = load<W>(param.v + j);
    const Vector<float, W> dw = load<W>(param.dw + j);
    for (int k = 0; k < W; k++) {
      // not NaN for an infinite weight
      const float g = l2 != 0 ? fmaf(l2, w.at[k], dw.at[k]) : dw.at[k];
      m.at[k] = fmaf(oneMinusBeta1, g, beta1 * m.at[k]);
      v.at[k] = fmaf(oneMinusBeta2 * g, g, beta2 * v.at[k]);
      const float change = stepSize * m.at[k] / fmaf(sqrtf(v.at[k]), rootCorrection, eps);
      w.at[k] = fmaf(decayFactor, w.at[k], -change);
    }
    store(param.w + j, w);
    store(param.m + j, m);
    store(param.v + j, v);
    if (!param.bf16Copy) return;
    if constexpr (W == 4)
      *reinterpret_cast<uint64_t*>(param.bf16Copy + j) =
          packBf16x2(w.at[0], w.at[1]) | (uint64_t)packBf16x2(w.at[2], w.at[3]) << 32;
    else param.bf16Copy[j] = roundTo<bf16>(w.at[0]);
  }
};

/**
 * Block i updates chunk i, unless a gradient was not finite (foundInf [1], or null). The last block
 * to finish increments the counts of updates; there is at least one block. lr [1], counter [1]
 */
__global__ void adamwStep(ParamTable table, AdamW rule, const f32* lr, const f32* foundInf,
                          double logBeta1, double logBeta2, double weightDecay,
                          unsigned* counter) {
  if (foundInf && *foundInf != 0) return;
  if (blockIdx.x < table.chunks) {
    const Chunk chunk = findChunk(table, blockIdx.x);
    const double t = *chunk.param.t + 1;
    rule.decayFactor = (float)(1 - *lr * weightDecay);
    // 1 - beta^t = -expm1(t log beta), without cancellation
    rule.stepSize = *lr / -expm1f((float)(t * logBeta1));
    rule.rootCorrection = 1 / sqrtf(-expm1f((float)(t * logBeta2)));
    updateChunk(chunk, rule);
  }
  if (!isLastBlock(counter, gridDim.x)) return; // earlier, other blocks may still read t
  for (int64_t i = threadIdx.x; i < table.count; i += BLOCK_SIZE) *table.params[i].t += 1;
}

/** w += weight (dw - w), computed from the nearer end, so that a weight of 1 is exact. */
struct Lerp {
  float weight;

  template <int W>
  __device__ void update(const ParamBuffers& param, int64_t j) const {
    Vector<float, W> w = load<W>(param.w + j);
    const Vector<float, W> to = load<W>(param.dw + j);
    for (int k = 0; k < W; k++) {
      const float change = to.at[k] - w.at[k];
      w.at[k] = weight < 0.5f ? fmaf(weight, change, w.at[k]) : fmaf(weight - 1, change, to.at[k]);
    }
    store(param.w + j, w);
  }
};

/** Block i updates chunk i, unless a gradient was not finite (foundInf [1], or null). weight [1] */
__global__ void lerpStep(ParamTable table, const f32* weight, const f32* foundInf) {
  if (foundInf && *foundInf != 0) return;
  updateChunk(findChunk(table, blockIdx.x), Lerp{*weight});
}

/** Adds the squares of w to *sum. */
struct Squares {
  float* sum;

  template <int W>
  __device__ void update(const ParamBuffers& param, int64_t j) const {
    const Vector<float, W> x = load<W>(param.w + j);
    for (int k = 0; k < W; k++) *sum = fmaf(x.at[k], x.at[k], *sum);
  }
};

/**
 * total = sum of w^2 over all parameters. Block b has chunks b, b + gridDim.x, ...; the last block
 * adds the partials. total [1]; partials [gridDim.x]; counter [1]
 */
__global__ void sumOfSquares(ParamTable table, f32* total, float* partials, unsigned* counter) {
  double chunks = 0;
  for (int64_t i = blockIdx.x; i < table.chunks; i += gridDim.x) {
    float chunkSum = 0;
    updateChunk(findChunk(table, i), Squares{&chunkSum});
    chunks += chunkSum;
  }
  float sum = (float)chunks;
  if (gridSum(&sum, partials, counter) && threadIdx.x == 0) *total = sum;
}

/** w = factor w */
struct Scale {
  float factor;

  template <int W>
  __device__ void update(const ParamBuffers& param, int64_t j) const {
    Vector<float, W> x = load<W>(param.w + j);
    for (int k = 0; k < W; k++) x.at[k] *= factor;
    store(param.w + j, x);
  }
};

/** Scales all by min(1, maxNorm / (sqrt(total) + 1e-6)). Block i has chunk i. total [1] */
__global__ void clipByNorm(ParamTable table, const f32* total, double maxNorm) {
  const double scale = maxNorm / (::sqrt((double)*total) + 1e-6);
  // negated, so that a NaN norm makes all elements NaN
  if (!(scale >= 1)) updateChunk(findChunk(table, blockIdx.x), Scale{(float)scale});
}

/** Sets foundInf [1] to 1 if x [1] is infinite or NaN. One thread. */
__global__ void checkFiniteScalar(const f32* x, f32* foundInf) {
  if (!(fabsf(*x) < INFINITY)) *foundInf = 1;
}

/** Uploads the table of a launch's parameters. Lists that the kernel does not use are empty. */
ParamTable makeParamTable(List w, List dw = {}, List m = {}, List v = {}, List bf16Copies = {},
                          List t = {}) {
  const auto get = [](List list, int64_t i) { return i < list.count ? list[i] : nullptr; };
  std::vector<ParamBuffers> params;
  int64_t chunks = 0;
  for (int64_t i = 0; i < w.count; i++) {
    ParamBuffers param;
    param.w = w[i];
    param.dw = get(dw, i);
    param.m = get(m, i);
    param.v = get(v, i);
    param.t = get(t, i);
    param.bf16Copy = reinterpret_cast<bf16*>(get(bf16Copies, i));
    param.length = w.lengths[i];
    param.firstChunk = chunks;
    param.vectorize =
        canVectorize<f32>(0, param.w, param.dw, param.m, param.v, param.bf16Copy);
    params.push_back(param);
    chunks += ceilDiv(param.length, CHUNK);
  }
  return {getDeviceTable(params), w.count, chunks};
}

} // namespace

void sgd(List w, List dw, List velocity, const f32* lr, const f32* foundInf, double momentum,
         double weightDecay) {
  const ParamTable table = makeParamTable(w, dw, {}, velocity);
  launch(sgdStep, gridFor(table.chunks, 1), BLOCK_SIZE, 0, table, lr, foundInf, (float)momentum,
         (float)weightDecay);
}

void lerp(List y, List x, const f32* weight, const f32* foundInf) {
  const ParamTable table = makeParamTable(y, x);
  launch(lerpStep, gridFor(table.chunks, 1), BLOCK_SIZE, 0, table, weight, foundInf);
}

void adamw(List w, List dw, List m, List v, List copies, List t, const f32* lr, const f32* foundInf,
           double beta1, double beta2, double eps, double weightDecay, double l2) {
  if (w.count == 0) return;
  const ParamTable table = makeParamTable(w, dw, m, v, copies, t);
  AdamW rule = {};
  rule.beta1 = (float)beta1;
  rule.beta2 = (float)beta2;
  rule.oneMinusBeta1 = (float)(1 - beta1);
  rule.oneMinusBeta2 = (float)(1 - beta2);
  rule.eps = (float)eps;
  rule.l2 = (float)l2;
  const Dim grid = gridFor(table.chunks == 0 ? 1 : table.chunks, 1);
  launch(adamwStep, grid, BLOCK_SIZE, 0, table, rule, lr, foundInf, std::log(beta1),
         std::log(beta2), weightDecay, counters(1));
}

void sumSquares(List x, f32* total) {
  const ParamTable table = makeParamTable(x);
  constexpr int64_t maxBlocks = 1024;
  const Dim grid = gridFor(table.chunks == 0 ? 1 : table.chunks, 1, maxBlocks);
  float* partials = static_cast<float*>(workspace(maxBlocks * sizeof(float)));
  launch(sumOfSquares, grid, BLOCK_SIZE, 0, table, total, partials, counters(1));
}

void clip(List x, const f32* total, double maxNorm) {
  const ParamTable table = makeParamTable(x);
  launch(clipByNorm, gridFor(table.chunks, 1), BLOCK_SIZE, 0, table, total, maxNorm);
}

void checkFinite(const f32* x, f32* foundInf) {
  launch(checkFiniteScalar, 1, 1, 0, x, foundInf);
}

} // namespace tinybard::cuda
