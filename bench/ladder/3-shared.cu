// Step 3. Wasted before: each row of a is read from the caches N times, each column of b M times.
// Changed: the threads of a block bring a tile of a and one of b to shared memory, 32 x 32 numbers,
// and all use them: global memory and the caches are asked for 1 / 32 of what they were.
// Predicted: 1.5 times faster. Shared memory answers sooner than a cache, but as seldom: there are
// still two loads for each multiply-add.

#include "ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int TILE = 32;

__global__ void shared(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K) {
  SHARED(float, tileA, [TILE][TILE]);
  SHARED(float, tileB, [TILE][TILE]);
  const int x = threadIdx.x, y = threadIdx.y;
  const int64_t row = (int64_t)blockIdx.y * TILE + y, column = (int64_t)blockIdx.x * TILE + x;
  float sum = 0;
  for (int64_t k = 0; k < K; k += TILE) {
    tileA[y][x] = row < M && k + x < K ? a[row * K + k + x] : 0.0f;
    tileB[y][x] = k + y < K && column < N ? b[(k + y) * N + column] : 0.0f;
    __syncthreads(); // the tiles are there
    for (int i = 0; i < TILE; i++) sum += tileA[y][i] * tileB[i][x];
    __syncthreads(); // and may be overwritten
  }
  if (row < M && column < N) c[row * N + column] = sum;
}

} // namespace

void step3(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K) {
  launch(shared, Dim((unsigned)ceilDiv(N, TILE), (unsigned)ceilDiv(M, TILE)), Dim(TILE, TILE), 0, a,
         b, c, M, N, K);
}

} // namespace tinybard::cuda
