// Step 2. Wasted before: a warp's loads of a touch 32 lines, of which each lane takes 4 bytes.
// Changed: the threads of a warp are neighbours in a row of c. Then all read the same number of a,
// and b's numbers side by side, which come as one line of 128 bytes (they are coalesced).
// Predicted: 6 to 8 times faster. Still each multiply-add waits for two loads, and a multiprocessor
// does four warps' multiply-adds in the time of one warp's load: at most 1 / 8 of its peak.

#include "ladder.h"

namespace tinybard::cuda {
namespace {

__global__ void coalesced(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K) {
  const int64_t row = (int64_t)blockIdx.y * 8 + threadIdx.y;
  const int64_t column = (int64_t)blockIdx.x * 32 + threadIdx.x;
  if (row >= M || column >= N) return;
  float sum = 0;
  for (int64_t k = 0; k < K; k++) sum += a[row * K + k] * b[k * N + column];
  c[row * N + column] = sum;
}

} // namespace

void step2(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K) {
  launch(coalesced, Dim((unsigned)ceilDiv(N, 32), (unsigned)ceilDiv(M, 8)), Dim(32, 8), 0, a, b, c,
         M, N, K);
}

} // namespace tinybard::cuda
