// Optimizer kernels: one launch over all parameters, in place. A table on the device lists the
// tensors; their elements are cut into chunks that are counted through, and a block has a chunk.

#include "block.cuh"
#include "kernels.h"
#include "tensor_core.cuh"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

constexpr int64_t CHUNK = 8192; // elements

/** The buffers of one parameter. */
struct Tensor {
  f32 *w, *dw, *m, *v, *t;
  bf16* copy;
  int64_t length, firstChunk;
  int64_t isPacked; // all buffers begin at multiples of 16 bytes; as long as the rest: no padding
};

struct Table {
  const Tensor* tensors;
  int64_t count, chunks;
};

/** A part of a tensor. */
struct Chunk {
  Tensor of;
  int64_t begin, end;
};

__device__ inline Chunk chunkOf(const Table& table, int64_t i) {
  int64_t low = 0, high = table.count; // the last tensor whose first chunk is at most i
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (table.tensors[middle].firstChunk <= i ? low : high) = middle;
  }
  const Tensor& tensor = table.tensors[low];
  const int64_t begin = (i - tensor.firstChunk) * CHUNK, end = begin + CHUNK;
  return {tensor, begin, end < tensor.length ? end : tensor.length};
}

/** f.update<W>(tensor, j) for all elements j of a chunk, W at a time. */
template <class F>
__device__ inline void eachOf(const Chunk& chunk, const F& f) {
  int64_t j = chunk.begin + 4 * threadIdx.x;
  if (chunk.of.isPacked)
    for (; j + 4 <= chunk.end; j += 4 * BLOCK_SIZE) f.template update<4>(chunk.of, j);
  const int64_t whole = chunk.begin + (chunk.end - chunk.begin) / 4 * 4;
  for (j = (chunk.of.isPacked ? whole : chunk.begin) + threadIdx.x; j < chunk.end; j += BLOCK_SIZE)
    f.template update<1>(chunk.of, j);
}

struct Sgd {
  float lr, momentum, weightDecay;

  template <int W>
  __device__ void update(const Tensor& tensor, int64_t j) const {
    Vector<float, W> w = load<W>(tensor.w + j), v = load<W>(tensor.v + j);
    const Vector<float, W> dw = load<W>(tensor.dw + j);
    for (int k = 0; k < W; k++) {
      v.at[k] = fmaf(weightDecay, w.at[k], fmaf(momentum, v.at[k], dw.at[k]));
      w.at[k] = fmaf(-lr, v.at[k], w.at[k]);
    }
    store(tensor.v + j, v);
    store(tensor.w + j, w);
  }
};

__global__ void sgdStep(Table table, const f32* lr, float momentum, float weightDecay) {
  eachOf(chunkOf(table, blockIdx.x), Sgd{*lr, momentum, weightDecay});
}

struct AdamW {
  float beta1, beta2, rest1, rest2, eps, l2; // rest = 1 - beta
  float kept, stepSize, rootCorrection;

  template <int W>
  __device__ void update(const Tensor& tensor, int64_t j) const {
    Vector<float, W> w = load<W>(tensor.w + j), m = load<W>(tensor.m + j);
    Vector<float, W> v = load<W>(tensor.v + j);
    const Vector<float, W> dw = load<W>(tensor.dw + j);
    for (int k = 0; k < W; k++) {
      const float g = fmaf(l2, w.at[k], dw.at[k]);
      m.at[k] = fmaf(rest1, g, beta1 * m.at[k]);
      v.at[k] = fmaf(rest2 * g, g, beta2 * v.at[k]);
      const float change = stepSize * m.at[k] / fmaf(sqrtf(v.at[k]), rootCorrection, eps);
      w.at[k] = fmaf(kept, w.at[k], -change);
    }
    store(tensor.w + j, w);
    store(tensor.m + j, m);
    store(tensor.v + j, v);
    if (!tensor.copy) return;
    if constexpr (W == 4)
      *reinterpret_cast<uint64_t*>(tensor.copy + j) =
          packBf16x2(w.at[0], w.at[1]) | (uint64_t)packBf16x2(w.at[2], w.at[3]) << 32;
    else tensor.copy[j] = roundTo<bf16>(w.at[0]);
  }
};

/** Of each block: chunk blockIdx.x, and of the last one to be done: the count of the updates. */
__global__ void adamwStep(Table table, AdamW rule, const f32* lr, const f32* foundInf, double log1,
                          double log2, double weightDecay, unsigned* counter) {
  if (foundInf && *foundInf != 0) return;
  if (blockIdx.x < table.chunks) {
    const Chunk chunk = chunkOf(table, blockIdx.x);
    const double t = *chunk.of.t + 1; // 1 - beta^t = -(e^(t log beta) - 1), which floats can tell
    rule.kept = (float)(1 - *lr * weightDecay);
    rule.stepSize = *lr / -expm1f((float)(t * log1));
    rule.rootCorrection = 1 / sqrtf(-expm1f((float)(t * log2)));
    eachOf(chunk, rule);
  }
  if (!isLastBlock(counter, gridDim.x)) return; // until then, others may read t
  for (int64_t i = threadIdx.x; i < table.count; i += BLOCK_SIZE) *table.tensors[i].t += 1;
}

struct Squares {
  float* sum;

  template <int W>
  __device__ void update(const Tensor& tensor, int64_t j) const {
    const Vector<float, W> x = load<W>(tensor.w + j);
    for (int k = 0; k < W; k++) *sum = fmaf(x.at[k], x.at[k], *sum);
  }
};

/** Block b has chunks b, b + blocks, ...; the last block adds what all have found. */
__global__ void addSquares(Table table, f32* total, float* found, unsigned* counter) {
  float sum = 0;
  for (int64_t i = blockIdx.x; i < table.chunks; i += gridDim.x)
    eachOf(chunkOf(table, i), Squares{&sum});
  if (gridSum(&sum, found, counter) && threadIdx.x == 0) *total = sum;
}

struct Scale {
  float factor;

  template <int W>
  __device__ void update(const Tensor& tensor, int64_t j) const {
    Vector<float, W> x = load<W>(tensor.w + j);
    for (int k = 0; k < W; k++) x.at[k] *= factor;
    store(tensor.w + j, x);
  }
};

__global__ void clipAll(Table table, const f32* total, double maxNorm) {
  const double scale = maxNorm / (::sqrt((double)*total) + 1e-6);
  if (!(scale >= 1)) eachOf(chunkOf(table, blockIdx.x), Scale{(float)scale});
}

__global__ void watchOne(const f32* x, f32* foundInf) {
  if (!(fabsf(*x) < INFINITY)) *foundInf = 1;
}

/** The table of lists of which some may be empty: those that are not wanted. */
Table tableOfLists(List w, List dw = {}, List m = {}, List v = {}, List copies = {}, List t = {}) {
  const auto at = [](List list, int64_t i) { return i < list.count ? list[i] : nullptr; };
  std::vector<Tensor> tensors;
  int64_t chunks = 0;
  for (int64_t i = 0; i < w.count; i++) {
    bf16* copy = reinterpret_cast<bf16*>(at(copies, i));
    const bool isPacked = canVectorize<f32>(0, w[i], at(dw, i), at(m, i), at(v, i), copy);
    tensors.push_back({w[i], at(dw, i), at(m, i), at(v, i), at(t, i), copy, w.lengths[i], chunks,
                       isPacked});
    chunks += ceilDiv(w.lengths[i], CHUNK);
  }
  return {getDeviceTable(tensors), w.count, chunks};
}

} // namespace

void sgd(List w, List dw, List velocity, const f32* lr, double momentum, double weightDecay) {
  const Table table = tableOfLists(w, dw, {}, velocity);
  launch(sgdStep, gridFor(table.chunks, 1), BLOCK_SIZE, 0, table, lr, (float)momentum,
         (float)weightDecay);
}

void adamw(List w, List dw, List m, List v, List copies, List t, const f32* lr, const f32* foundInf,
           double beta1, double beta2, double eps, double weightDecay, double l2) {
  if (w.count == 0) return;
  const Table table = tableOfLists(w, dw, m, v, copies, t);
  const AdamW rule = {(float)beta1, (float)beta2, (float)(1 - beta1), (float)(1 - beta2),
                      (float)eps, (float)l2, 0, 0, 0};
  launch(adamwStep, gridFor(table.chunks + (table.chunks == 0), 1), BLOCK_SIZE, 0, table, rule, lr,
         foundInf, std::log(beta1), std::log(beta2), weightDecay, counters(1));
}

void sumSquares(List x, f32* total) {
  const Table table = tableOfLists(x);
  constexpr int64_t most = 1024;
  const Dim grid = gridFor(table.chunks + (table.chunks == 0), 1, most);
  launch(addSquares, grid, BLOCK_SIZE, 0, table, total, (float*)workspace(most * sizeof(float)),
         counters(1));
}

void clip(List x, const f32* total, double maxNorm) {
  const Table table = tableOfLists(x);
  launch(clipAll, gridFor(table.chunks, 1), BLOCK_SIZE, 0, table, total, maxNorm);
}

void checkFinite(const f32* x, f32* foundInf) { launch(watchOne, 1, 1, 0, x, foundInf); }

} // namespace tinybard::cuda
