// Token shift (after Peng et al., 2023): a part of the previous token's row is added to each row.

#include "kernels.h"
#include "block.cuh"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

/** The tokens of x [B, T, C], and of the last token before them, previous [B, C] or null. */
template <class F>
struct Tokens {
  const F* x;
  const F* previous;
  int64_t rows; // B T
  int64_t T, C;

  /** Returns channel c of the token before token r = b T + t; 0 if there is none. */
  __device__ float before(int64_t r, int64_t c) const {
    if (r % T > 0) return toFloat(x[(r - 1) * C + c]);
    return previous ? toFloat(previous[r / T * C + c]) : 0.0f;
  }
  /** Returns true if token r has one before it. */
  __device__ bool hasBefore(int64_t r) const { return r % T > 0 || previous; }
};

/** y[b, t] = x[b, t] + w x[b, t - 1]. y [B, T, C]; w [C]. A thread has an element. */
template <class F>
__global__ void __launch_bounds__(BLOCK_SIZE) shiftTokens(Tokens<F> tokens, const F* w, F* y) {
  const int64_t n = tokens.rows * tokens.C;
  for (int64_t i = globalThreadIndex(); i < n; i += globalThreadCount()) {
    const int64_t r = i / tokens.C;
    const int64_t c = i % tokens.C;
    float yi = toFloat(tokens.x[i]);
    if (tokens.hasBefore(r)) yi = fmaf(toFloat(w[c]), tokens.before(r, c), yi);
    y[i] = roundTo<F>(yi);
  }
}

/**
 * dx[b, t] = dy[b, t] + w dy[b, t + 1]; dw = the column sums of dy[b, t] x[b, t - 1]. A block has
 * WARP channels, in one of `parts` parts of the rows; the parts of a tile of channels are
 * neighbors. partials [parts, C]; dw [C] or null.
 */
template <class F>
__global__ void __launch_bounds__(BLOCK_SIZE)
    shiftTokensBackward(Tokens<F> tokens, const F* w, const F* dy, F* dx, f32* dw, float* partials,
                        unsigned* counters, int parts) {
  constexpr int WARPS = BLOCK_SIZE / WARP;
  SHARED(float, sums, [WARPS][WARP]);
  const int64_t T = tokens.T;
  const int64_t C = tokens.C;
  const int64_t tile = blockIdx.x / parts;
  const int part = blockIdx.x % parts;
  const int64_t first = tile * WARP;
  const int64_t c = first + lane();
  const int64_t end = tokens.rows * (part + 1) / parts;
  double total = 0; // of blocks of SUM_LENGTH rows of this warp
  int64_t r = tokens.rows * part / parts + warp();
  while (c < C && r < end) {
    const int64_t blockEnd = r + SUM_LENGTH * WARPS < end ? r + SUM_LENGTH * WARPS : end;
    float sum = 0;
    for (; r < blockEnd; r += WARPS) {
      const float dyr = toFloat(dy[r * C + c]);
      float dxr = dyr;
      if (r % T < T - 1) dxr = fmaf(toFloat(w[c]), toFloat(dy[(r + 1) * C + c]), dxr);
      dx[r * C + c] = roundTo<F>(dxr);
      if (tokens.hasBefore(r)) sum = fmaf(dyr, tokens.before(r, c), sum);
    }
    total += sum;
  }
  if (!dw) return;
  sums[warp()][lane()] = (float)total;
  __syncthreads();
  const int width = (int)(C - first < WARP ? C - first : WARP);
  const int column = threadIdx.x;
  float columnSum = 0;
  if (column < width)
    for (int i = 0; i < WARPS; i++) columnSum += sums[i][column];
  if (column < width) partials[part * C + first + column] = columnSum;
  if (!reducePartials(partials + first, C, width, part, parts,
                      counters + tile * partialCounters(parts)))
    return;
  if (column < width) dw[first + column] = partials[first + column];
}

} // namespace

template <class F>
void tokenShift(const F* x, const F* w, const F* previous, F* y, int64_t B, int64_t T, int64_t C) {
  const Tokens<F> tokens = {x, previous, B * T, T, C};
  if (B * T * C > 0)
    launch(shiftTokens<F>, gridStrideBlocks(B * T * C), BLOCK_SIZE, 0, tokens, w, y);
}
FOR_FLOATS(tokenShift)

template <class F>
void tokenShiftBackward(const F* x, const F* w, const F* previous, const F* dy, F* dx, f32* dw,
                        int64_t B, int64_t T, int64_t C) {
  if (C == 0) return;
  constexpr int64_t ROWS_PER_PART = 64;
  const Tokens<F> tokens = {x, previous, B * T, T, C};
  const int64_t tiles = ceilDiv(C, WARP);
  const int64_t blocks = ceilDiv(8 * multiprocessors(), tiles); // of a tile: the GPU is full
  const int64_t rowParts = ceilDiv(B * T, ROWS_PER_PART);
  const int64_t smaller = blocks < rowParts ? blocks : rowParts;
  const int parts = (int)(smaller > 1 ? smaller : 1);
  float* partials = static_cast<float*>(workspace(parts * C * sizeof(float)));
  unsigned* arrivals = counters(tiles * partialCounters(parts));
  launch(shiftTokensBackward<F>, Dim((unsigned)(tiles * parts)), BLOCK_SIZE, 0, tokens, w, dy, dx,
         dw, partials, arrivals, parts);
}
FOR_FLOATS(tokenShiftBackward)

} // namespace tinybard::cuda
