// Rotary position embeddings (RoPE, Su et al., 2021, https://arxiv.org/abs/2104.09864): pairs of
// elements of queries and keys are rotated by angles proportional to the token's position. And the
// normalization of queries and keys (Dehghani et al., 2023), which rotates them in the same pass.

#include "../block.cuh"
#include "../kernels.h"
#include "../vector.cuh"

namespace tinybard::cuda {
namespace {

/** The arguments of the kernel; parts from `rotatedParts` on are copied. */
struct Rotation {
  int64_t pairs; // of all heads
  int64_t T, parts, H;
  int64_t halfD; // pairs in a head
  int64_t capacity;
  int64_t rotatedParts;
  float sign;      // 1, or -1 to rotate back
  const i32* past; // null, or the position of the first token
  IndexError* indexError;
};

/**
 * (a, b) = (a cos - b sin, a sin + b cos) for the elements a = x[.., i] and b = x[.., halfD + i] of
 * each head; x, y [B, T, parts, H, 2 halfD]. table [capacity, 2, halfD] has the cosines, then the
 * sines, of each position. A grid-stride loop over W pairs at a time.
 */
template <int W, class F>
__global__ void rotaryKernel(const F* x, const f32* table, F* y, Rotation problem) {
  const int64_t halfD = problem.halfD;
  const int64_t step = globalThreadCount() * W;
  for (int64_t pair = globalThreadIndex() * W; pair < problem.pairs; pair += step) {
    const int64_t i = pair % halfD;
    const int64_t head = pair / halfD; // index over [B, T, parts, H]
    const int64_t part = head / problem.H % problem.parts;
    const int64_t t = head / problem.H / problem.parts % problem.T;
    const int64_t offset = head * 2 * halfD + i;
    Vector<F, W> a = load<W>(x + offset);
    Vector<F, W> b = load<W>(x + offset + halfD);
    if (part < problem.rotatedParts) {
      const int position = (int)t + (problem.past ? *problem.past : 0);
      const int row =
          checkIndex(position, problem.capacity, IndexSource::rotary, t, problem.indexError);
      const f32* const angles = table + 2 * halfD * row;
      for (int k = 0; k < W; k++) {
        const float cos = angles[i + k];
        const float sin = problem.sign * angles[halfD + i + k];
        const float p = toFloat(a.at[k]);
        const float q = toFloat(b.at[k]);
        a.at[k] = roundTo<F>(p * cos - q * sin);
        b.at[k] = roundTo<F>(p * sin + q * cos);
      }
    }
    store(y + offset, a);
    store(y + offset + halfD, b);
  }
}

/** The arguments of the kernels of qkNorm; parts from `normalizedParts` on are copied. */
struct HeadNorm {
  int64_t heads; // of all tokens and parts
  int64_t T, parts, H, D;
  int64_t capacity;
  int64_t normalizedParts;
  float eps;
  const f32* table; // [capacity, D], or null
  const i32* past;  // null, or the position of the first token
  int lanes;        // that share a head: a power of 2
  IndexError* indexError;
};

/** W pairs of elements of a head that are rotated: a[k] with b[k]. */
template <int W>
struct Pairs {
  float a[W];
  float b[W];
};

/**
 * A lane's share of a head of x [heads, D]. The last element of an odd D, for which W is 1, has no
 * partner. Lanes after the last head repeat it without storing, so that all take part in sums.
 */
template <int W, class F>
struct HeadShare {
  const HeadNorm& problem;
  int64_t head;
  bool isStored;
  bool isNormalized;
  const f32* angles = nullptr; // the cosines, then the sines, of the token's position, or null

  __device__ explicit HeadShare(const HeadNorm& p) : problem(p) {
    const int64_t index = globalThreadIndex() / p.lanes;
    isStored = index < p.heads;
    head = isStored ? index : p.heads - 1;
    isNormalized = head / p.H % p.parts < p.normalizedParts;
    if (!p.table || !isNormalized) return;
    const int64_t t = head / p.H / p.parts % p.T;
    const int position = (int)t + (p.past ? *p.past : 0);
    const int row = checkIndex(position, p.capacity, IndexSource::qkNorm, t, p.indexError);
    angles = p.table + p.D * row;
  }

  /** Calls f(i, j) for W pairs at a time, of the elements from i and from j on; j is -1 without
   *  a partner. */
  template <class Function>
  __device__ void forEachPairs(const Function& f) const {
    const int pairs = (int)problem.D / 2;
    const int step = problem.lanes * W;
    for (int i = (int)threadIdx.x % problem.lanes * W; i < problem.D - pairs; i += step)
      f(i < pairs ? i : 2 * pairs, i < pairs ? pairs + i : -1);
  }

  /** Loads pairs of x [heads, D]; a missing partner is 0. */
  __device__ Pairs<W> load(const F* x, int i, int j) const {
    const F* const from = x + head * problem.D;
    Pairs<W> pairs = {};
    const Vector<F, W> a = cuda::load<W>(from + i);
    for (int k = 0; k < W; k++) pairs.a[k] = toFloat(a.at[k]);
    if (j < 0) return pairs;
    const Vector<F, W> b = cuda::load<W>(from + j);
    for (int k = 0; k < W; k++) pairs.b[k] = toFloat(b.at[k]);
    return pairs;
  }

  /** Stores pairs to y [heads, D]. */
  __device__ void store(F* y, int i, int j, const Pairs<W>& pairs) const {
    if (!isStored) return;
    F* const to = y + head * problem.D;
    Vector<F, W> a;
    Vector<F, W> b;
    for (int k = 0; k < W; k++) {
      a.at[k] = roundTo<F>(pairs.a[k]);
      b.at[k] = roundTo<F>(pairs.b[k]);
    }
    cuda::store(to + i, a);
    if (j >= 0) cuda::store(to + j, b);
  }

  /** Rotates pairs, or back if sign is -1; does nothing without angles or a partner. */
  __device__ void rotate(Pairs<W>& pairs, int i, int j, float sign) const {
    if (!angles || j < 0) return;
    for (int k = 0; k < W; k++) {
      const float cos = angles[i + k];
      const float sin = sign * angles[j + k];
      const float a = pairs.a[k];
      const float b = pairs.b[k];
      pairs.a[k] = a * cos - b * sin;
      pairs.b[k] = a * sin + b * cos;
    }
  }

  /** Returns the mean over the head, from each lane's sum. All lanes of a warp must call it. */
  __device__ float mean(float sum) const {
    for (int step = problem.lanes / 2; step > 0; step /= 2)
      sum += __shfl_xor_sync(FULL_MASK, sum, step);
    return sum / problem.D;
  }
};

/** y = R(x rstd), rstd = 1 / sqrt(mean(x^2) + eps). x, y [heads, D] */
template <int W, class F>
__global__ void qkNormKernel(const F* x, F* y, HeadNorm problem) {
  const HeadShare<W, F> share(problem);
  float squares = 0;
  share.forEachPairs([&](int i, int j) {
    const Pairs<W> p = share.load(x, i, j);
    for (int k = 0; k < W; k++) squares += p.a[k] * p.a[k] + p.b[k] * p.b[k];
  });
  const float rstd = 1 / sqrtf(share.mean(squares) + problem.eps);
  const float scale = share.isNormalized ? rstd : 1;
  share.forEachPairs([&](int i, int j) {
    Pairs<W> p = share.load(x, i, j);
    for (int k = 0; k < W; k++) {
      p.a[k] *= scale;
      p.b[k] *= scale;
    }
    share.rotate(p, i, j, 1);
    share.store(y, i, j, p);
  });
}

/** With g = R^-1 dy: dx = rstd (g - x rstd^2 mean(g x)). x, dy, dx [heads, D] */
template <int W, class F>
__global__ void qkNormBackwardKernel(const F* x, const F* dy, F* dx, HeadNorm problem) {
  const HeadShare<W, F> share(problem);
  float squares = 0;
  float dot = 0;
  share.forEachPairs([&](int i, int j) {
    const Pairs<W> p = share.load(x, i, j);
    Pairs<W> g = share.load(dy, i, j);
    share.rotate(g, i, j, -1);
    for (int k = 0; k < W; k++) {
      squares += p.a[k] * p.a[k] + p.b[k] * p.b[k];
      dot += p.a[k] * g.a[k] + p.b[k] * g.b[k];
    }
  });
  const float rstd = 1 / sqrtf(share.mean(squares) + problem.eps);
  const float factor = rstd * rstd * share.mean(dot);
  share.forEachPairs([&](int i, int j) {
    const Pairs<W> p = share.load(x, i, j);
    Pairs<W> g = share.load(dy, i, j);
    share.rotate(g, i, j, -1);
    for (int k = 0; k < W && share.isNormalized; k++) {
      g.a[k] = rstd * (g.a[k] - p.a[k] * factor);
      g.b[k] = rstd * (g.b[k] - p.b[k] * factor);
    }
    share.store(dx, i, j, g);
  });
}

/** Returns how many lanes, a power of 2, share a head of D elements, W pairs at a time. */
int lanesPerHead(int64_t D, int W) {
  int lanes = 1;
  while (lanes < WARP && lanes * W < D - D / 2) lanes *= 2;
  return lanes;
}

/** Launches a kernel of W pairs at a time on all heads. */
template <class... Parameters, class... Buffers>
void launchHeadNorm(void (*kernel)(Parameters...), int W, HeadNorm problem, Buffers... buffers) {
  problem.lanes = lanesPerHead(problem.D, W);
  const Dim grid = gridFor(problem.heads * problem.lanes, BLOCK_SIZE);
  launch(kernel, grid, Dim(BLOCK_SIZE), 0, buffers..., problem);
}

/** Returns the arguments of the kernels; reports an error if the table is shorter than the text. */
HeadNorm describeHeads(const char* kernel, const f32* table, const i32* length, int64_t B,
                       int64_t T, int64_t parts, int64_t H, int64_t D, int64_t capacity,
                       int64_t normalizedParts, double eps) {
  if (table && T > capacity)
    kernelError("%s: %lld tokens, expected at most %lld", kernel, (long long)T,
                (long long)capacity);
  HeadNorm problem;
  problem.heads = D == 0 ? 0 : B * T * parts * H;
  problem.T = T;
  problem.parts = parts;
  problem.H = H;
  problem.D = D;
  problem.capacity = capacity;
  problem.normalizedParts = normalizedParts;
  problem.eps = (float)eps;
  problem.table = table;
  problem.past = length;
  problem.indexError = deviceIndexError();
  return problem;
}

} // namespace

template <class F>
void qkNorm(const F* x, const f32* table, const i32* length, F* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t D, int64_t capacity, int64_t normalizedParts,
            double eps) {
  const HeadNorm problem = describeHeads("qkNorm", table, length, B, T, parts, H, D, capacity,
                                         normalizedParts, eps);
  constexpr int W = Pack<F>::size;
  if (D % 2 == 0 && canVectorize<F>(D / 2, x, y))
    launchHeadNorm(qkNormKernel<W, F>, W, problem, x, y);
  else launchHeadNorm(qkNormKernel<1, F>, 1, problem, x, y);
}
FOR_FLOATS(qkNorm)

template <class F>
void qkNormBackward(const F* x, const f32* table, const i32* length, const F* dy, F* dx, int64_t B,
                    int64_t T, int64_t parts, int64_t H, int64_t D, int64_t capacity,
                    int64_t normalizedParts, double eps) {
  const HeadNorm problem = describeHeads("qkNormBackward", table, length, B, T, parts, H, D,
                                         capacity, normalizedParts, eps);
  constexpr int W = Pack<F>::size;
  if (D % 2 == 0 && canVectorize<F>(D / 2, x, dy, dx))
    launchHeadNorm(qkNormBackwardKernel<W, F>, W, problem, x, dy, dx);
  else launchHeadNorm(qkNormBackwardKernel<1, F>, 1, problem, x, dy, dx);
}
FOR_FLOATS(qkNormBackward)

template <class F>
void rotary(const F* x, const f32* table, const i32* length, F* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t halfD, int64_t capacity, int64_t rotatedParts,
            bool inverse) {
  if (!length && T > capacity)
    return kernelError("rotary: %lld tokens, expected at most %lld", (long long)T,
                       (long long)capacity);
  Rotation problem;
  problem.pairs = B * T * parts * H * halfD;
  problem.T = T;
  problem.parts = parts;
  problem.H = H;
  problem.halfD = halfD;
  problem.capacity = capacity;
  problem.rotatedParts = rotatedParts;
  problem.sign = inverse ? -1.0f : 1.0f;
  problem.past = length;
  problem.indexError = deviceIndexError();
  constexpr int W = Pack<F>::size;
  const Dim block(BLOCK_SIZE);
  if (canVectorize<F>(halfD, x, y)) {
    const Dim grid = gridStrideBlocks(problem.pairs / W);
    launch(rotaryKernel<W, F>, grid, block, 0, x, table, y, problem);
  } else {
    const Dim grid = gridStrideBlocks(problem.pairs);
    launch(rotaryKernel<1, F>, grid, block, 0, x, table, y, problem);
  }
}
FOR_FLOATS(rotary)

} // namespace tinybard::cuda
