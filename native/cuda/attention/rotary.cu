// Rotary position embeddings (RoPE, Su et al., 2021, https://arxiv.org/abs/2104.09864): pairs of
// elements of queries and keys are rotated by angles proportional to the token's position.

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

} // namespace

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
