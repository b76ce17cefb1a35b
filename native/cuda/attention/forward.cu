// The forward pass of attention on tensor cores: FlashAttention-2 (Dao, 2023,
// https://arxiv.org/abs/2307.08691). Scores are never written to memory: the softmax is computed
// online, block of keys by block of keys.

#include "flash.cuh"

namespace tinybard::cuda {
namespace {

constexpr int WARPS = 4;
constexpr int QUERIES = 16 * WARPS; // of a block
constexpr int KEYS = 64;            // in a step

/** Queries; two buffers each of keys and values; the dropout mask. */
template <int D>
constexpr size_t sharedBytes() {
  return (QUERIES + 4 * KEYS) * D * sizeof(bf16) + QUERIES * KEYS / 16 * sizeof(uint16_t);
}

/** A warp's state of the online softmax for its 16 rows of y; index i is row g or g + 8. */
template <int D>
struct OnlineSoftmax {
  float y[D / 8][4] = {};
  float maxScore[2] = {-INFINITY, -INFINITY}; // so far, unscaled
  float total[2] = {}; // this lane's part of sum(e^(score - maxScore))

  /**
   * Replaces scores s by e^(scale (s - maxScore)), in base 2, and adds them to the total. If the
   * maximum grows, y and the total are scaled down to it.
   */
  __device__ void update(float (&s)[KEYS / 8][4], float scale) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float newMax = maxScore[i];
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
        newMax = fmaxf(newMax, fmaxf(s[n][2 * i], s[n][2 * i + 1]));
      newMax = quadMax(newMax);
      const float shift = newMax == -INFINITY ? 0.0f : newMax * scale; // no NaN from -inf + inf
      const float rescale = fastExp2(maxScore[i] * scale - shift);
      maxScore[i] = newMax;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 2 * i; e < 2 * i + 2; e++) {
          s[n][e] = fastExp2(s[n][e] * scale - shift);
          sum += s[n][e];
        }
      total[i] = total[i] * rescale + sum;
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        y[n][2 * i] *= rescale;
        y[n][2 * i + 1] *= rescale;
      }
    }
  }
};

/**
 * y = dropout(softmax(q k^T / sqrt(D))) v, and lse, for one head and 64 queries.
 *
 * A block has four warps with 16 queries each. Keys and values pass through shared memory 64 at a
 * time; the next ones are copied asynchronously while these are multiplied. A warp's scores are mma
 * results in registers, and become an operand of the product with v without leaving them. Grid: one
 * block per head and 64 queries. Dynamic shared memory: sharedBytes<D>().
 */
template <int D>
__global__ void __launch_bounds__(WARPS * WARP, D > 64 ? 2 : 4)
    flashForwardKernel(AttentionForward<bf16> problem) {
  if (!problem.fitsCapacity()) return; // the same in all threads
  const CausalMask mask = problem.mask();
  // the last queries of all heads first: under a causal mask they attend to the most keys
  const int head = blockIdx.x % problem.headCount;
  const int queryTiles = (int)ceilDiv(mask.Tq, QUERIES);
  const int first = (queryTiles - 1 - (int)(blockIdx.x / problem.headCount)) * QUERIES;
  const HeadRows<const bf16> q = problem.headRows(problem.q, head, mask.Tq);
  const HeadRows<const bf16> k = problem.headRows(problem.k, head, mask.Tk);
  const HeadRows<const bf16> v = problem.headRows(problem.v, head, mask.Tk);
  const int steps = (int)ceilDiv(mask.visibleKeys(min(first + QUERIES, mask.Tq) - 1), KEYS);
  const bool hasDropout = problem.threshold > 0;

  DYNAMIC_SHARED(bf16, shared);
  const SharedRows<D> queries = {shared};
  const SharedRows<D> keys = queries.fromRow(QUERIES);
  const SharedRows<D> values = keys.fromRow(2 * KEYS);
  uint16_t* const maskBits = reinterpret_cast<uint16_t*>(values.fromRow(2 * KEYS).data);
  const DropoutMask dropoutMask = {maskBits, KEYS / 16};
  const int row = 16 * warp(); // the first of this warp's queries in the tile
  const int minVisible = mask.visibleKeys(first + row); // to any of the warp's queries
  const int maxVisible = first + row < mask.Tq ? mask.visibleKeys(first + row + 15) : 0;
  const float scale = LOG2E * rsqrtf((float)problem.D); // of scores, for exponentials in base 2

  OnlineSoftmax<D> softmax;
  if (steps > 0) {
    copyRowsAsync(queries, 0, q, first, QUERIES);
    copyRowsAsync(keys, 0, k, 0, KEYS);
    copyRowsAsync(values, 0, v, 0, KEYS);
    commitCopies();
  }
  for (int step = 0; step < steps; step++) {
    const int key = step * KEYS;
    const int current = step % 2 * KEYS; // the first row of this step's buffer
    const int next = KEYS - current;
    waitForCopies<0>();
    __syncthreads(); // this step's rows have arrived, and all warps have read the last step's
    if (step + 1 < steps) {
      copyRowsAsync(keys, next, k, key + KEYS, KEYS);
      copyRowsAsync(values, next, v, key + KEYS, KEYS);
      commitCopies();
    }
    if (key >= maxVisible) continue;
    if (hasDropout) {
      __syncwarp(); // all lanes have read the last step's bits
      dropoutMask.fromQuery(row).generate(problem, mask, head, first + row, 16, key, KEYS / 16,
                                          lane(), WARP);
      __syncwarp();
    }

    float s[KEYS / 8][4] = {}; // (16, KEYS) scores
#pragma unroll
    for (int i = 0; i < D; i += 16) {
      uint32_t a[4], b[4];
      loadA(a, queries, row, i);
#pragma unroll
      for (int n = 0; n < KEYS / 8; n += 2) {
        loadTransposedB(b, keys.fromRow(current), i, 8 * n);
        mma16x16(s[n], s[n + 1], a, b);
      }
    }
    if (key + KEYS > minVisible) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int visible = mask.visibleKeys(first + row + g() + 8 * i) - key;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 2; e++)
            if (8 * n + 2 * t() + e >= visible) s[n][2 * i + e] = -INFINITY;
      }
    }
    softmax.update(s, scale);
    if (hasDropout) {
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          if (!dropoutMask.isKept(row + g() + e / 2 * 8, 8 * n + 2 * t() + e % 2)) s[n][e] = 0.0f;
    }
#pragma unroll
    for (int i = 0; i < KEYS / 16; i++) {
      if (key + 16 * i >= maxVisible) continue; // these values may be NaN
      const VisibleTile tile = {mask, first + row, key + 16 * i, false};
      uint32_t p[4];
      convertToA(p, s[2 * i], s[2 * i + 1]);
#pragma unroll
      for (int n = 0; n < D / 8; n += 2) {
        uint32_t b[4];
        loadB(b, values.fromRow(current), 16 * i, 8 * n);
        mmaVisible16x16(softmax.y[n], softmax.y[n + 1], p, b, tile);
      }
    }
  }

#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int query = first + row + g() + 8 * i;
    const bool hasKeys = mask.visibleKeys(query) > 0;
    const float total = quadSum(softmax.total[i]);
    const float factor = hasKeys ? problem.dropoutScale() / total : 0.0f;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      softmax.y[n][2 * i] *= factor;
      softmax.y[n][2 * i + 1] *= factor;
    }
    if (problem.lse && t() == 0 && query < mask.Tq)
      problem.lse[(int64_t)head * mask.Tq + query] =
          hasKeys ? LN2 * (softmax.maxScore[i] * scale + log2f(total)) : 0.0f;
  }
  const HeadRows<bf16> y = problem.headRows(problem.y, head, mask.Tq);
  storeRows(y, first + row, 0, softmax.y, queries, row);
}

template <int D>
void launchForward(const AttentionForward<bf16>& problem) {
  const Dim grid((unsigned)(problem.headCount * ceilDiv(problem.Tq, QUERIES)));
  launch(flashForwardKernel<D>, grid, Dim(WARPS * WARP), sharedBytes<D>(), problem);
}

} // namespace

void flashForward(const AttentionForward<bf16>& problem) {
  if (problem.D <= 16) launchForward<16>(problem);
  else if (problem.D <= 32) launchForward<32>(problem);
  else if (problem.D <= 64) launchForward<64>(problem);
  else launchForward<128>(problem);
}

} // namespace tinybard::cuda
