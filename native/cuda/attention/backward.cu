// The backward pass of attention on tensor cores: FlashAttention-2 (Dao, 2023) without atomics, so
// that gradients are deterministic. Probabilities are recomputed from lse. With P = softmax(q k^T /
// sqrt(D)), w = dropout(P) with dropout factors m, and delta_i = dy_i . y_i:
//
//   dv_j = sum_i w_ij dy_i
//   dS_ij = P_ij (m_ij dy_i . v_j - delta_i)
//   dk_j = sum_i dS_ij q_i / sqrt(D)
//   dq_i = sum_j dS_ij k_j / sqrt(D)
//
// A block owns some keys or some queries of a head and iterates over the rows of the other side. It
// computes the whole sum of each gradient row that it owns. In general dk and dv come from blocks
// that own keys, and dq from blocks that own queries, which compute dS once more. If one block can
// own all keys of a head, it passes dS through shared memory and computes dq as well.

#include <algorithm>

#include "flash.cuh"

namespace tinybard::cuda {
namespace {

/** The rows that a block owns: some keys, all keys of a head, or some queries. */
enum class Owner { keys, allKeys, queries };

/** The numbers of rows that a block works on, and its shared memory. */
template <int D, Owner owner>
struct BackwardTiling {
  static constexpr bool ownsKeys = owner != Owner::queries;
  static constexpr bool ownsAllKeys = owner == Owner::allKeys;
  static constexpr int MAX_WARPS = ownsAllKeys ? 8 : 4;
  static constexpr int M = D > 64 ? 1 : 2;      // fragments of 16 rows that a warp owns
  static constexpr int STEP = D > 64 ? 32 : 64; // rows of the other side in a step

  int ownRows;
  int queryRows, keyRows; // in shared memory; two buffers for the other side if it needs two steps

  __host__ __device__ BackwardTiling(int warps, int Tq, int Tk) : ownRows(16 * M * warps) {
    const int otherRows = (ownsKeys ? Tq : Tk) > STEP ? 2 * STEP : STEP;
    queryRows = ownsKeys ? otherRows : ownRows;
    keyRows = ownsKeys ? ownRows : otherRows;
  }
  __host__ __device__ int queriesPerStep() const { return ownsKeys ? STEP : ownRows; }
  __host__ __device__ int keysPerStep() const { return ownsKeys ? ownRows : STEP; }
  /** The words of a query in the dropout mask, padded by 2 against bank conflicts. */
  __host__ __device__ int maskPitch() const { return keysPerStep() / 16 + 2; }
  size_t sharedBytes() const {
    const int elements =
        (3 * queryRows + 2 * keyRows) * D + (ownsAllKeys ? ownRows * STEP : 0);
    const int maskWords = queriesPerStep() * maskPitch();
    return (elements + maskWords) * sizeof(bf16) + 2 * queriesPerStep() * sizeof(float);
  }
};

/**
 * One block of the backward kernel. Scores are computed as fragments whose rows are the warp's own
 * rows, so that P and dS become operands of the products with dy, q or k without leaving registers.
 * The sums of dk, dv or dq stay in registers until the end.
 */
template <int D, Owner owner>
struct BackwardBlock : BackwardTiling<D, owner> {
  using Tiling = BackwardTiling<D, owner>;
  using Tiling::ownRows, Tiling::M, Tiling::STEP, Tiling::ownsKeys, Tiling::ownsAllKeys;

  const AttentionBackward<bf16>& problem;
  const CausalMask mask;
  const int head, warps;
  const int first;                // own row
  const float scale;              // of scores, for exponentials in base 2
  int loadedRows = 0;             // own rows that have been copied, or are being copied
  SharedRows<D> q, dy, y, k, v;
  SharedRows<STEP> dS;            // [keys, queries], if all keys are owned
  float *lse, *delta;             // of the queries of a step
  DropoutMask dropoutMask;
  float ownSums[M][D / 8][4] = {}; // of dk or dq
  float dvSums[M][D / 8][4] = {};  // if keys are owned

  __device__ BackwardBlock(const AttentionBackward<bf16>& problem, bf16* shared)
      : Tiling(blockDim.x / WARP, problem.Tq, problem.Tk), problem(problem),
        mask(problem.mask()), head(blockIdx.x % problem.headCount), warps(blockDim.x / WARP),
        first(firstOwnRow()), scale(LOG2E * rsqrtf((float)problem.D)) {
    q = {shared};
    dy = q.fromRow(this->queryRows);
    y = dy.fromRow(this->queryRows);
    k = y.fromRow(this->queryRows);
    v = k.fromRow(this->keyRows);
    dS = {v.fromRow(this->keyRows).data};
    lse = reinterpret_cast<float*>(dS.fromRow(ownsAllKeys ? ownRows : 0).data);
    delta = lse + this->queriesPerStep();
    uint16_t* const maskBits = reinterpret_cast<uint16_t*>(delta + this->queriesPerStep());
    dropoutMask = {maskBits, this->maskPitch()};
  }

  /** Starts with the first keys or the last queries: under a causal mask these have most work. */
  __device__ int firstOwnRow() const {
    const int block = blockIdx.x / problem.headCount;
    return (ownsKeys ? block : (int)ceilDiv(problem.Tq, ownRows) - 1 - block) * ownRows;
  }
  /**
   * Returns the first row of the warp's fragment m, relative to the block's. Fragments are ordered
   * so that those that are active longest under a causal mask have the lowest m.
   */
  __device__ int fragmentRow(int m) const {
    return 16 * (warp() + (ownsKeys ? m : M - 1 - m) * warps);
  }
  /** Returns the number of keys that any of `count` queries attends to. */
  __device__ int visibleKeys(int query, int count) const {
    return mask.visibleKeys(min(query + count, mask.Tq) - 1);
  }

  __device__ void run() {
    const int past = mask.Tk - mask.Tq;
    const int begin = ownsKeys && !ownsAllKeys && mask.causal ? max(0, first - past) / STEP : 0;
    const int end = (int)ceilDiv(ownsKeys ? mask.Tq : visibleKeys(first, ownRows), STEP);
    if (begin < end) copyStep(begin);
    if (problem.threshold == 0)
      dropoutMask.keepAll(this->queriesPerStep(), this->keysPerStep() / 16, threadIdx.x,
                          blockDim.x);
    for (int step = begin; step < end; step++) {
      const int other = step * STEP;      // the first row of the other side
      const int buffer = step % 2 * STEP; // its row in shared memory
      waitForCopies<0>();
      __syncthreads(); // this step's rows have arrived, and all warps have read the last step's
      if (step + 1 < end) copyStep(step + 1);
      prepareQueries(other, buffer, step == begin);
      __syncthreads();
      for (int row = 0; row < STEP; row += 16) {
        const int active = activeFragments(other + row);
        if (active == M) accumulate<M>(other, buffer, row);
        else if (active > 0) accumulate<1>(other, buffer, row);
      }
      if constexpr (ownsAllKeys) {
        __syncthreads();
        storeQueryGradients(other, buffer);
      }
    }
    storeOwnGradients();
  }

  /** Starts to copy the rows that a step needs from both sides. */
  __device__ void copyStep(int step) {
    const int other = step * STEP;
    const int buffer = step % 2 * STEP;
    const int visible = ownsKeys ? visibleKeys(other, STEP) - first : ownRows;
    const int needed = min(ownRows, (int)ceilDiv(visible, 16) * 16);
    if (ownsKeys) {
      copyQueries(buffer, other, STEP);
      if (needed > loadedRows) copyKeys(loadedRows, first + loadedRows, needed - loadedRows);
    } else {
      copyKeys(buffer, other, STEP);
      if (needed > loadedRows) copyQueries(0, first, ownRows);
    }
    loadedRows = max(loadedRows, needed);
    commitCopies();
  }
  __device__ void copyQueries(int to, int from, int count) const {
    copyRowsAsync(q, to, problem.headRows(problem.q, head, mask.Tq), from, count);
    copyRowsAsync(dy, to, problem.headRows(problem.dy, head, mask.Tq), from, count);
    copyRowsAsync(y, to, problem.headRows(problem.y, head, mask.Tq), from, count);
  }
  __device__ void copyKeys(int to, int from, int count) const {
    copyRowsAsync(k, to, problem.headRows(problem.k, head, mask.Tk), from, count);
    copyRowsAsync(v, to, problem.headRows(problem.v, head, mask.Tk), from, count);
  }

  /** Computes lse and delta of the step's queries, unless already known, and the dropout mask. */
  __device__ void prepareQueries(int other, int buffer, bool isFirstStep) const {
    const int query = ownsKeys ? other : first;
    const int i = threadIdx.x;
    const bool areNew = ownsKeys || isFirstStep;
    const bool loadsLse = areNew && i < this->queriesPerStep();
    const float queryLse = loadsLse && query + i < mask.Tq
                               ? problem.lse[(int64_t)head * mask.Tq + query + i] * LOG2E
                               : 0.0f;
    if (problem.threshold > 0)
      dropoutMask.generate(problem, mask, head, query, this->queriesPerStep(),
                           ownsKeys ? first : other, this->keysPerStep() / 16, threadIdx.x,
                           blockDim.x);
    if (areNew) {
      for (int row = 16 * warp(); row < this->queriesPerStep(); row += 16 * warps)
        computeDelta(row, ownsKeys ? buffer : 0);
    }
    if (loadsLse) lse[i] = queryLse;
  }

  /** delta = dy . y for 16 queries. */
  __device__ void computeDelta(int row, int buffer) const {
    float sums[2] = {}; // of rows g and g + 8
#pragma unroll
    for (int i = 0; i < D; i += 16) {
      uint32_t a[4], b[4];
      loadA(a, dy, buffer + row, i);
      loadA(b, y, buffer + row, i);
#pragma unroll
      for (int j = 0; j < 4; j++) { // a bf16 is the upper half of a float
        sums[j % 2] += __uint_as_float(a[j] << 16) * __uint_as_float(b[j] << 16);
        sums[j % 2] +=
            __uint_as_float(a[j] & 0xffff0000) * __uint_as_float(b[j] & 0xffff0000);
      }
    }
    const float low = quadSum(sums[0]);
    const float high = quadSum(sums[1]);
    if (t() == 0) {
      delta[row + g()] = low;
      delta[row + g() + 8] = high;
    }
  }

  /** Returns the number of the warp's fragments that 16 rows of the other side contribute to. */
  __device__ int activeFragments(int other) const {
    if (ownsKeys && other >= mask.Tq) return 0;
    int count = 0;
#pragma unroll
    for (int m = 0; m < M; m++)
      count += ownsKeys ? first + fragmentRow(m) < visibleKeys(other, 16)
                        : other < visibleKeys(first + fragmentRow(m), 16);
    return count;
  }

  /** Adds the contribution of 16 rows of the other side to the first FRAGMENTS fragments. */
  template <int FRAGMENTS>
  __device__ void accumulate(int other, int buffer, int row) {
    const SharedRows<D>& own = ownsKeys ? k : q;
    const SharedRows<D>& ownToo = ownsKeys ? v : dy;
    const SharedRows<D>& others = ownsKeys ? q : k;
    const SharedRows<D>& othersToo = ownsKeys ? dy : v;
    float P[FRAGMENTS][2][4] = {};  // scores q . k, then w without the dropout scale
    float dP[FRAGMENTS][2][4] = {}; // dy . v, then dS
#pragma unroll
    for (int i = 0; i < D; i += 16) {
      uint32_t a[4], b[4], bToo[4];
      loadTransposedB(b, others, i, buffer + row);
      loadTransposedB(bToo, othersToo, i, buffer + row);
#pragma unroll
      for (int m = 0; m < FRAGMENTS; m++) {
        loadA(a, own, fragmentRow(m), i);
        mma16x16(P[m][0], P[m][1], a, b);
        loadA(a, ownToo, fragmentRow(m), i);
        mma16x16(dP[m][0], dP[m][1], a, bToo);
      }
    }

    uint32_t p[FRAGMENTS][4], s[FRAGMENTS][4];
    VisibleTile tiles[FRAGMENTS];
#pragma unroll
    for (int m = 0; m < FRAGMENTS; m++) {
      tiles[m] = visibleTile(fragmentRow(m), other + row);
      computeScoreGradients(P[m], dP[m], tiles[m], row, fragmentRow(m));
      convertToA(p[m], P[m][0], P[m][1]);
      convertToA(s[m], dP[m][0], dP[m][1]);
      if constexpr (ownsAllKeys) storeShared(dS, fragmentRow(m), row, dP[m]);
    }
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      uint32_t b[4];
      loadB(b, others, buffer + row, 8 * n);
#pragma unroll
      for (int m = 0; m < FRAGMENTS; m++)
        mmaVisible16x16(ownSums[m][n], ownSums[m][n + 1], s[m], b, tiles[m]);
      if constexpr (ownsKeys) {
        loadB(b, othersToo, buffer + row, 8 * n);
#pragma unroll
        for (int m = 0; m < FRAGMENTS; m++)
          mmaVisible16x16(dvSums[m][n], dvSums[m][n + 1], p[m], b, tiles[m]);
      }
    }
  }

  /** Views the queries and keys of 16 own rows and 16 rows of the other side. */
  __device__ VisibleTile visibleTile(int ownRow, int other) const {
    const int own = first + ownRow;
    return {mask, ownsKeys ? other : own, ownsKeys ? own : other, ownsKeys};
  }

  /**
   * Replaces scores P by the dropped-out probabilities, without the dropout scale, and dP = dy . v
   * by dS. It computes every element and then selects: branches for hidden or dropped elements
   * would keep the loads from overlapping.
   */
  __device__ void computeScoreGradients(float (&P)[2][4], float (&dP)[2][4],
                                        const VisibleTile& tile, int row, int ownRow) const {
    const float dropoutScale = problem.dropoutScale();
    const bool areAllVisible = tile.areAllVisible();
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int i = ownRow + g() + e / 2 * 8;          // the element's own row
        const int j = row + 8 * n + 2 * t() + e % 2;     // and its row of the other side
        const int query = ownsKeys ? j : i;
        const int key = ownsKeys ? i : j;
        const bool isVisible = areAllVisible | tile.isVisible(i - ownRow, j - row);
        const bool isKept = dropoutMask.isKept(query, key);
        const float probability = fastExp2(P[n][e] * scale - lse[query]);
        const float dropped = isKept ? dP[n][e] * dropoutScale : zeroTimes(dP[n][e]);
        P[n][e] = !isVisible ? 0.0f : isKept ? probability : zeroTimes(probability);
        dP[n][e] = isVisible ? probability * (dropped - delta[query]) : 0.0f;
      }
  }

  /** dq of a step's queries, from dS of all keys. A warp computes 16 rows, 32 columns at a time. */
  __device__ void storeQueryGradients(int other, int buffer) const {
    constexpr int WIDTH = D < 32 ? D : 32;
    constexpr int COLUMN_TILES = D / WIDTH;
    const HeadRows<bf16> dq = problem.headRows(problem.dq, head, mask.Tq);
    for (int i = warp(); i < STEP / 16 * COLUMN_TILES; i += warps) {
      const int row = i / COLUMN_TILES * 16;
      const int column = i % COLUMN_TILES * WIDTH;
      if (other + row >= mask.Tq) continue;
      const int visible = visibleKeys(other + row, 16);
      float sums[WIDTH / 8][4] = {};
      for (int key = 0; key < visible; key += 16) {
        const VisibleTile tile = {mask, other + row, key, false};
        uint32_t a[4], b[4];
        loadTransposedA(a, dS, row, key);
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n += 2) {
          loadB(b, k, key, column + 8 * n);
          mmaVisible16x16(sums[n], sums[n + 1], a, b, tile);
        }
      }
      scaleFragments(scale * LN2, sums);
      // y was last read for delta, so its rows can be overwritten
      storeRows(dq, other + row, column, sums, y.fromRow(buffer), row);
    }
  }

  /** Stores dk and dv, or dq, through own rows in shared memory that only this warp has read. */
  __device__ void storeOwnGradients() {
    const HeadRows<bf16> rows = ownsKeys ? problem.headRows(problem.dk, head, mask.Tk)
                                         : problem.headRows(problem.dq, head, mask.Tq);
#pragma unroll
    for (int m = 0; m < M; m++) {
      const int row = fragmentRow(m);
      scaleFragments(scale * LN2, ownSums[m]);
      storeRows(rows, first + row, 0, ownSums[m], ownsKeys ? v : dy, row);
      if constexpr (ownsKeys) {
        const HeadRows<bf16> dv = problem.headRows(problem.dv, head, mask.Tk);
        scaleFragments(problem.dropoutScale(), dvSums[m]);
        storeRows(dv, first + row, 0, dvSums[m], v, row);
      }
    }
  }

  template <int N>
  static __device__ void scaleFragments(float factor, float (&c)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) c[n][e] *= factor;
  }
};

/** dk and dv, dq, or all three. Grid: one block per head and group of own rows. */
template <int D, Owner owner>
__global__ void __launch_bounds__(WARP * BackwardTiling<D, owner>::MAX_WARPS,
                                  owner == Owner::allKeys ? 1 : 2)
    flashBackwardKernel(AttentionBackward<bf16> problem) {
  DYNAMIC_SHARED(bf16, shared);
  BackwardBlock<D, owner>(problem, shared).run();
}

template <int D, Owner owner>
void launchBackward(const AttentionBackward<bf16>& problem) {
  using Tiling = BackwardTiling<D, owner>;
  const int rows = Tiling::ownsKeys ? problem.Tk : problem.Tq;
  // at least 2 warps, so that there is a thread for each query in shared memory
  const int64_t fragments = ceilDiv(rows, 16 * Tiling::M);
  const int warps = (int)std::clamp<int64_t>(fragments, 2, Tiling::MAX_WARPS);
  const int64_t blocks = Tiling::ownsAllKeys ? 1 : ceilDiv(rows, 16 * Tiling::M * warps);
  const Dim grid((unsigned)(blocks * problem.headCount));
  const size_t sharedBytes = Tiling(warps, problem.Tq, problem.Tk).sharedBytes();
  launch(flashBackwardKernel<D, owner>, grid, Dim(warps * WARP), sharedBytes, problem);
}

template <int D>
void launchBackward(const AttentionBackward<bf16>& problem) {
  using AllKeys = BackwardTiling<D, Owner::allKeys>;
  if (problem.Tk <= AllKeys::M * 16 * AllKeys::MAX_WARPS)
    return launchBackward<D, Owner::allKeys>(problem);
  launchBackward<D, Owner::keys>(problem);
  launchBackward<D, Owner::queries>(problem);
}

} // namespace

void flashBackward(const AttentionBackward<bf16>& problem) {
  if (problem.D <= 16) launchBackward<16>(problem);
  else if (problem.D <= 32) launchBackward<32>(problem);
  else if (problem.D <= 64) launchBackward<64>(problem);
  else launchBackward<128>(problem);
}

} // namespace tinybard::cuda
