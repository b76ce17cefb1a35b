// f32 GEMM in full precision on the ordinary (SIMT) cores: no tensor cores, no rounding to tf32.
// bench/ladder derives the blocking in steps 4 to 6: tiles in shared memory, sub-tiles in
// registers, double buffering.

#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int SIMT_THREADS = 256;
constexpr int SUM_K = 512; // of k that is added in one f32 sum

/**
 * Copies one operand to shared memory, tile by tile: SIZE of m (or n) by DEPTH of k, 1024 elements,
 * of which each thread loads 4 consecutive ones. `alongK` is true if k is the contiguous dimension
 * of the stored matrix. Loads go to registers first, so that they overlap the multiplication.
 */
template <int SIZE, bool alongK>
struct TileLoader {
  static constexpr int DEPTH = 1024 / SIZE;
  static constexpr int PITCH = SIZE + 4;                      // of a row in shared memory
  static constexpr int VECTORS = (alongK ? DEPTH : SIZE) / 4; // in a row of the stored matrix

  const float* source;
  int64_t ld;
  int kLeft, mLeft; // elements of k and of m from here to the end of the matrix; mLeft is at most 4
  bool isAligned;
  float x[4];

  /** Starts at (m, k) of a matrix that ends at (M, kEnd). */
  __device__ TileLoader(const float* matrix, int64_t ld, int64_t m, int64_t M, int64_t k,
                        int64_t kEnd, bool isAligned)
      : ld(ld), isAligned(isAligned) {
    const int row = threadIdx.x / VECTORS;
    const int column = threadIdx.x % VECTORS * 4;
    source = matrix + ((alongK ? m : k) + row) * ld + (alongK ? k : m) + column;
    kLeft = (int)(kEnd - k) - (alongK ? column : row);
    const int64_t left = M - m - (alongK ? row : column);
    mLeft = left < 4 ? (int)left : 4;
  }

  /** Loads this thread's 4 elements of the next tile into registers; 0 outside the matrix. */
  __device__ void load() {
    const int count = alongK ? (mLeft > 0 ? kLeft : 0) : (kLeft > 0 ? mLeft : 0);
    loadFloats(x, source, isAligned && count >= 4, count);
    source += alongK ? DEPTH : DEPTH * ld;
    kLeft -= DEPTH;
  }

  /** Stores them to a tile [DEPTH, PITCH] in shared memory, transposed if k is contiguous. */
  __device__ void store(float* tile) const {
    const int row = threadIdx.x / VECTORS;
    const int column = threadIdx.x % VECTORS * 4;
    if constexpr (alongK) {
#pragma unroll
      for (int j = 0; j < 4; j++) tile[(column + j) * PITCH + row] = x[j];
    } else {
      storeFloats(tile + row * PITCH + column, x, true, 4);
    }
  }
};

/**
 * c = epilogue(op(a) op(b)) in f32, by fused multiply-adds in the order of k. If a block has more
 * than SUM_K of k, the sums over SUM_K are added in shared memory, so that the rounding error does
 * not grow with k.
 *
 * A block of 256 threads computes a tile of SIZE x SIZE (128 or 64). Each thread keeps 8 x 8 (or
 * 4 x 4) sums in registers, so that each number loaded from shared memory is used 8 (or 4) times.
 * Tiles of a and b, 8 (or 16) of k deep, are double-buffered in shared memory: while one pair is
 * multiplied, the next is loaded into registers. Grid: one block per tile and split of K. The
 * dynamic shared memory, of simtSharedFloats() floats, holds the buffers and, behind them, the sums
 * over more than SUM_K; in the end the tile of c [SIZE, sharedPitch(SIZE)].
 */
template <int SIZE, bool transA, bool transB>
__global__ void __launch_bounds__(SIMT_THREADS, 2) simtKernel(TiledGemm<f32, f32> problem) {
  using LoaderA = TileLoader<SIZE, !transA>;
  using LoaderB = TileLoader<SIZE, transB>;
  constexpr int DEPTH = LoaderA::DEPTH;
  constexpr int PITCH = LoaderA::PITCH;
  constexpr int I = SIZE / 64; // a thread has 4 of each 64 rows, and 4 of each 64 columns
  DYNAMIC_SHARED(float, shared);
  const TileCoordinates at = tileCoordinates(problem);
  const float* const matrixA = problem.a + at.batch * problem.strideA;
  const float* const matrixB = problem.b + at.batch * problem.strideB;
  LoaderA a(matrixA, problem.lda, at.row, problem.M, at.kBegin, at.kEnd, problem.isInputAligned);
  LoaderB b(matrixB, problem.ldb, at.column, problem.N, at.kBegin, at.kEnd, problem.isInputAligned);
  const int ty = threadIdx.x / 16 * 4; // this thread's first row of the tile
  const int tx = threadIdx.x % 16 * 4; // and its first column
  const bool computesRowSums = problem.rowSums && at.column == 0 && threadIdx.x < SIZE;
  float sums[4 * I * I][4] = {};
  float rowSum = 0.0f;
  const bool isLong = at.kEnd - at.kBegin > SUM_K;
  float longRowSum = 0.0f;
  Pack<float>* const longSums =
      reinterpret_cast<Pack<float>*>(shared + 4 * DEPTH * PITCH) + threadIdx.x;
  const auto addToLongSums = [&](bool isFirst) {
#pragma unroll
    for (int i = 0; i < 4 * I * I; i++) {
      Pack<float> total = isFirst ? Pack<float>{} : longSums[i * SIMT_THREADS];
      for (int j = 0; j < 4; j++) {
        total.at[j] += sums[i][j];
        sums[i][j] = 0.0f;
      }
      longSums[i * SIMT_THREADS] = total;
    }
    longRowSum += rowSum;
    rowSum = 0.0f;
  };
  const auto load = [&] {
    a.load();
    b.load();
  };
  const auto store = [&](int buffer) {
    a.store(shared + 2 * buffer * DEPTH * PITCH);
    b.store(shared + (2 * buffer + 1) * DEPTH * PITCH);
    __syncthreads();
  };

  load();
  store(0);
  int buffer = 0;
  for (int64_t k = at.kBegin; k < at.kEnd; k += DEPTH, buffer = 1 - buffer) {
    const bool isLast = k + DEPTH >= at.kEnd;
    if (!isLast) load();
    const float* const tileA = shared + 2 * buffer * DEPTH * PITCH;
    const float* const tileB = tileA + DEPTH * PITCH;
#pragma unroll
    for (int kk = 0; kk < DEPTH; kk++) {
      float x[I][4], y[I][4];
#pragma unroll
      for (int i = 0; i < I; i++) {
        loadFloats(x[i], tileA + kk * PITCH + 64 * i + ty, true, 4);
        loadFloats(y[i], tileB + kk * PITCH + 64 * i + tx, true, 4);
      }
#pragma unroll
      for (int r = 0; r < 4 * I; r++)
#pragma unroll
        for (int c = 0; c < 4 * I; c++)
          sums[r * I + c / 4][c % 4] += x[r / 4][r % 4] * y[c / 4][c % 4];
      if (computesRowSums) rowSum += tileA[kk * PITCH + threadIdx.x];
    }
    if (!isLast) store(1 - buffer);
    const int64_t done = k + DEPTH - at.kBegin;
    if (isLong && done % SUM_K == 0) addToLongSums(done == SUM_K);
  }
  if (isLong) {
#pragma unroll
    for (int i = 0; i < 4 * I * I; i++)
      for (int j = 0; j < 4; j++) sums[i][j] += longSums[i * SIMT_THREADS].at[j];
    rowSum += longRowSum;
  }

  if (!reduceSplitK<SIMT_THREADS>(problem, at, sums, rowSum)) return;
  if (computesRowSums && at.row + threadIdx.x < problem.M)
    problem.rowSums[at.row + threadIdx.x] = rowSum;
  __syncthreads(); // all threads have read the last tiles; c may overwrite them
#pragma unroll
  for (int r = 0; r < 4 * I; r++)
#pragma unroll
    for (int c = 0; c < I; c++) {
      const int row = r / 4 * 64 + ty + r % 4;
      const int column = 64 * c + tx;
      storeFloats(shared + row * sharedPitch(SIZE) + column, sums[r * I + c], true, 4);
    }
  applyTileEpilogue<SIZE, SIZE, SIMT_THREADS>(problem, at, shared);
}

/** Returns the floats of shared memory for tiles of SIZE x SIZE and blocks with `k` of k. */
template <int SIZE>
int64_t simtSharedFloats(int64_t k) {
  using Loader = TileLoader<SIZE, true>;
  const int64_t tile = SIZE * sharedPitch(SIZE);
  const int64_t longSums = 4 * Loader::DEPTH * Loader::PITCH + SIZE * SIZE;
  return k > SUM_K && longSums > tile ? longSums : tile;
}

template <int SIZE>
void launchTiles(TiledGemm<f32, f32>& problem, const TilePlan& plan) {
  if (!setPlan(problem, plan, SIMT_THREADS)) return;
  const Dim grid((unsigned)(problem.batch * plan.tiles() * plan.splits));
  const size_t sharedBytes = simtSharedFloats<SIZE>(plan.splitK) * sizeof(float);
  const auto kernel = problem.transA ? problem.transB ? simtKernel<SIZE, true, true>
                                                      : simtKernel<SIZE, true, false>
                      : problem.transB ? simtKernel<SIZE, false, true>
                                       : simtKernel<SIZE, false, false>;
  launch(kernel, grid, Dim(SIMT_THREADS), sharedBytes, problem);
}

} // namespace

void gemmSimt(TiledGemm<f32, f32> problem) {
  const auto choose = [&](std::initializer_list<TileShape> shapes) {
    return chooseTilePlan(shapes, 16, problem.M, problem.N, problem.K, problem.batch);
  };
  const bool hasRoom = simtSharedFloats<128>(problem.K) * sizeof(float) <= maxSharedBytes();
  const TilePlan plan = hasRoom ? choose({{128, 128, 110}, {64, 64, 80}}) : choose({{64, 64, 80}});
  if (plan.tileM == 64) launchTiles<64>(problem, plan);
  else launchTiles<128>(problem, plan);
}

} // namespace tinybard::cuda
