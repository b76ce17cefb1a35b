// Step 1. One thread for each element of c, as one would write it first. The 32 threads of a warp
// compute neighboring elements of a column of c, so they read 32 rows of a, each from a different
// cache line, and a single number of b.
// Predicted: each load of a takes 32 cache accesses for 32 multiply-adds, which the cores could do
// in a quarter of the time of one access: about 1 % of the multiprocessor's peak.

#include "ladder.h"

namespace tinybard::cuda {
namespace {

__global__ void naive(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K) {
  const int64_t row = (int64_t)blockIdx.x * 32 + threadIdx.x;
  const int64_t column = (int64_t)blockIdx.y * 8 + threadIdx.y;
  if (row >= M || column >= N) return;
  float sum = 0;
  for (int64_t k = 0; k < K; k++) sum += a[row * K + k] * b[k * N + column];
  c[row * N + column] = sum;
}

} // namespace

void step1(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K) {
  const Dim grid((unsigned)ceilDiv(M, 32), (unsigned)ceilDiv(N, 8));
  launch(naive, grid, Dim(32, 8), 0, a, b, c, M, N, K);
}

} // namespace tinybard::cuda
