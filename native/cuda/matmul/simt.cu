// The product of f32 as it is, by fused multiply-adds in the order of k. 256 threads share a tile
// of c, each has 8 x 8 of it (or 4 x 4) in registers. Tiles of a and b, 8 of k deep (or 16), lie in
// shared memory twice: while one is multiplied, the next is on its way, in registers.

#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int PLAIN_THREADS = 256;

/**
 * Brings an operand to shared memory, tile by tile of SIZE of m (or n) by DEPTH of k: 1024
 * elements, of which each thread has 4, side by side in the matrix.
 */
template <int SIZE, bool alongK>
struct Carrier {
  static constexpr int DEPTH = 1024 / SIZE, WIDTH = SIZE + 4; // of a row in shared memory
  static constexpr int PACKS = (alongK ? DEPTH : SIZE) / 4;   // in a row of the matrix

  const float* from;
  int64_t ld;
  int deep, wide; // how many of k and of m are left from there on
  bool byPacks;
  float x[4];

  /** Begins at (m, k) of the matrix, which ends at (M, end). */
  __device__ Carrier(const float* matrix, int64_t ld, int64_t m, int64_t M, int64_t k, int64_t end,
                     bool byPacks)
      : ld(ld), byPacks(byPacks) {
    const int row = threadIdx.x / PACKS, column = threadIdx.x % PACKS * 4;
    from = matrix + ((alongK ? m : k) + row) * ld + (alongK ? k : m) + column;
    deep = (int)(end - k) - (alongK ? column : row);
    const int64_t left = M - m - (alongK ? row : column);
    wide = left < 4 ? (int)left : 4;
  }

  /** Loads the next 4. */
  __device__ void load() {
    const int count = alongK ? (wide > 0 ? deep : 0) : (deep > 0 ? wide : 0);
    loadFloats(x, from, byPacks && count >= 4, count);
    from += alongK ? DEPTH : DEPTH * ld;
    deep -= DEPTH;
  }

  /** Stores them in [DEPTH, WIDTH]: rows run along m, whatever the matrix has. */
  __device__ void store(float* tile) const {
    const int row = threadIdx.x / PACKS, column = threadIdx.x % PACKS * 4;
    if constexpr (alongK) {
#pragma unroll
      for (int j = 0; j < 4; j++) tile[(column + j) * WIDTH + row] = x[j];
    } else {
      storeFloats(tile + row * WIDTH + column, x, true, 4);
    }
  }
};

template <int SIZE, bool transA, bool transB>
__global__ void __launch_bounds__(PLAIN_THREADS, 2) plainProduct(TiledGemm<f32, f32> task) {
  using A = Carrier<SIZE, !transA>;
  using B = Carrier<SIZE, transB>;
  constexpr int DEPTH = A::DEPTH, WIDTH = A::WIDTH;
  constexpr int I = SIZE / 64; // a thread has 4 rows of each 64, and 4 columns of each 64
  DYNAMIC_SHARED(float, shared); // two tiles of a, two of b; in the end the tile of c
  const TileCoordinates at = tileCoordinates(task);
  A a(task.a + at.batch * task.strideA, task.lda, at.row, task.M, at.k, at.end, task.isInputAligned);
  B b(task.b + at.batch * task.strideB, task.ldb, at.column, task.N, at.k, at.end, task.isInputAligned);
  const int ty = threadIdx.x / 16 * 4, tx = threadIdx.x % 16 * 4;
  const bool sumsRows = task.rowSums && at.column == 0 && threadIdx.x < SIZE;
  float sums[4 * I * I][4] = {}, rowSum = 0.0f;
  const auto load = [&] {
    a.load();
    b.load();
  };
  const auto store = [&](int place) {
    a.store(shared + 2 * place * DEPTH * WIDTH);
    b.store(shared + (2 * place + 1) * DEPTH * WIDTH);
    __syncthreads();
  };

  load();
  store(0);
  int place = 0;
  for (int64_t k = at.k; k < at.end; k += DEPTH, place = 1 - place) {
    const bool isLast = k + DEPTH >= at.end;
    if (!isLast) load();
    const float* const tileA = shared + 2 * place * DEPTH * WIDTH;
    const float* const tileB = tileA + DEPTH * WIDTH;
#pragma unroll
    for (int kk = 0; kk < DEPTH; kk++) {
      float x[I][4], y[I][4];
#pragma unroll
      for (int i = 0; i < I; i++) {
        loadFloats(x[i], tileA + kk * WIDTH + 64 * i + ty, true, 4);
        loadFloats(y[i], tileB + kk * WIDTH + 64 * i + tx, true, 4);
      }
#pragma unroll
      for (int r = 0; r < 4 * I; r++)
#pragma unroll
        for (int c = 0; c < 4 * I; c++)
          sums[r * I + c / 4][c % 4] += x[r / 4][r % 4] * y[c / 4][c % 4];
      if (sumsRows) rowSum += tileA[kk * WIDTH + threadIdx.x];
    }
    if (!isLast) store(1 - place);
  }

  if (!reduceSplitK<PLAIN_THREADS>(task, at, sums, rowSum)) return;
  if (sumsRows && at.row + threadIdx.x < task.M) task.rowSums[at.row + threadIdx.x] = rowSum;
  __syncthreads(); // all have done with the last tiles
#pragma unroll
  for (int r = 0; r < 4 * I; r++)
#pragma unroll
    for (int c = 0; c < I; c++) {
      const int row = r / 4 * 64 + ty + r % 4, column = 64 * c + tx;
      storeFloats(shared + row * sharedPitch(SIZE) + column, sums[r * I + c], true, 4);
    }
  applyTileEpilogue<SIZE, SIZE, PLAIN_THREADS>(task, at, shared);
}

template <int SIZE>
void launchTiles(TiledGemm<f32, f32>& task, const TilePlan& plan) {
  if (!prepare(task, plan, PLAIN_THREADS)) return;
  const Dim grid((unsigned)(task.batch * plan.tiles() * plan.splits));
  const auto kernel = task.transA ? task.transB ? plainProduct<SIZE, true, true>
                                                : plainProduct<SIZE, true, false>
                      : task.transB ? plainProduct<SIZE, false, true>
                                    : plainProduct<SIZE, false, false>;
  launch(kernel, grid, Dim(PLAIN_THREADS), SIZE * sharedPitch(SIZE) * sizeof(float), task);
}

} // namespace

void gemmSimt(TiledGemm<f32, f32> task) {
  const TilePlan plan =
      chooseTilePlan({{128, 128, 110}, {64, 64, 80}}, 16, task.M, task.N, task.K, task.batch);
  if (plan.m == 64) launchTiles<64>(task, plan);
  else launchTiles<128>(task, plan);
}

} // namespace tinybard::cuda
