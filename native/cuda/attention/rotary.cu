// Rotary positions: queries and keys turned by angles that grow with their place. A thread has W
// neighbouring pairs.

#include "../block.cuh"
#include "../kernels.h"
#include "../vector.cuh"

namespace tinybard::cuda {
namespace {

/** n pairs in heads of `half`; those of parts from `turned` on are copied. */
struct Turn {
  int64_t n, T, parts, H, half, capacity, turned;
  float sign;
  const i32* past;
  IndexError* indexError;
};

template <int W, class F>
__global__ void turn(const F* x, const f32* table, F* y, Turn work) {
  const int64_t half = work.half;
  for (int64_t pair = globalThreadIndex() * W; pair < work.n; pair += globalThreadCount() * W) {
    const int64_t i = pair % half, head = pair / half;
    const int64_t part = head / work.H % work.parts, t = head / work.H / work.parts % work.T;
    const int64_t from = head * 2 * half + i;
    Vector<F, W> a = load<W>(x + from), b = load<W>(x + from + half);
    if (part < work.turned) {
      const int place = (int)t + (work.past ? *work.past : 0);
      const int row = checkIndex(place, work.capacity, IndexSource::rotary, t, work.indexError);
      const f32* angles = table + 2 * half * row;
      for (int k = 0; k < W; k++) {
        const float cos = angles[i + k], sin = work.sign * angles[half + i + k];
        const float p = toFloat(a.at[k]), q = toFloat(b.at[k]);
        a.at[k] = roundTo<F>(p * cos - q * sin);
        b.at[k] = roundTo<F>(p * sin + q * cos);
      }
    }
    store(y + from, a);
    store(y + from + half, b);
  }
}

} // namespace

template <class F>
void rotary(const F* x, const f32* table, const i32* length, F* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t half, int64_t capacity, int64_t turned, bool inverse) {
  if (!length && T > capacity)
    return kernelError("rotary: %lld tokens, expected at most %lld",
                       (long long)T, (long long)capacity);
  constexpr int W = Pack<F>::size;
  const int64_t n = B * T * parts * H * half;
  const Turn problem = {n,        T,      parts,  H, half, capacity, turned, inverse ? -1.0f : 1.0f,
                        length, deviceIndexError()};
  if (canVectorize<F>(half, x, y))
    launch(turn<W, F>, gridStrideBlocks(n / W), BLOCK_SIZE, 0, x, table, y, problem);
  else launch(turn<1, F>, gridStrideBlocks(n), BLOCK_SIZE, 0, x, table, y, problem);
}
FOR_FLOATS(rotary)

} // namespace tinybard::cuda
