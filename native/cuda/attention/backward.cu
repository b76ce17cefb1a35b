// Attention's backward pass on tensor cores. P is computed again from lse, and no sum is left to
// atomics: a block has all of each row that it writes. With P = softmax(q k^T / sqrt D), w what
// dropout leaves of it, and delta_i = dy_i . y_i:
//
//   dv_j = sum_i w_ij dy_i    dS_ij = P_ij (drop_ij dy_i . v_j - delta_i)
//   dk_j = sum_i dS_ij q_i / sqrt D    dq_i = sum_j dS_ij k_j / sqrt D
//
// A block owns keys or queries of a head, and goes through the rows of the other side some at a
// time. A warp has scores as fragments whose rows are its own rows: so P and dS are at once what
// the next product takes, and dk, dv or dq stay in registers. A block that owns all keys of a head
// also passes dS on through shared memory, and makes dq of it; else dS is computed twice.

#include <algorithm>

#include "flash.cuh"

namespace tinybard::cuda {
namespace {

enum class Owner { keys, allKeys, queries };

template <int D, Owner owner>
struct Shape {
  static constexpr bool ownsKeys = owner != Owner::queries, makesAll = owner == Owner::allKeys;
  static constexpr int MOST_WARPS = makesAll ? 8 : 4;
  static constexpr int M = D > 64 ? 1 : 2;      // a warp owns M times 16 rows
  static constexpr int STEP = D > 64 ? 32 : 64; // rows of the other side at a time

  int own;              // rows of the block
  int queryRows, keyRows; // in shared memory: the other side's twice, if it has more than STEP

  __host__ __device__ Shape(int warps, int Tq, int Tk) : own(16 * M * warps) {
    const int others = (ownsKeys ? Tq : Tk) > STEP ? 2 * STEP : STEP;
    queryRows = ownsKeys ? others : own;
    keyRows = ownsKeys ? own : others;
  }
  __host__ __device__ int queries() const { return ownsKeys ? STEP : own; } // at a time
  __host__ __device__ int keys() const { return ownsKeys ? own : STEP; }
  __host__ __device__ int pitch() const { return keys() / 16 + 2; } // of kept; 2: for other banks
  size_t sharedBytes() const {
    const int elements = (3 * queryRows + 2 * keyRows) * D + (makesAll ? own * STEP : 0);
    return (elements + queries() * pitch()) * sizeof(bf16) + 2 * queries() * sizeof(float);
  }
};

/** What a block does. */
template <int D, Owner owner>
struct Work : Shape<D, owner> {
  using Shape = tinybard::cuda::Shape<D, owner>;
  using Shape::own, Shape::M, Shape::STEP, Shape::ownsKeys, Shape::makesAll;

  const Backward<bf16>& problem;
  const Sight sight;
  const int head, warps;
  const int first;                   // own row
  const float scale;                 // of scores, to base 2
  int have = 0;                      // own rows that are in shared memory, or on their way
  Tile<D> q, dy, y, k, v;
  Tile<STEP> dS;                     // [keys, queries], if makesAll
  float *lse, *delta;                // of the queries in shared memory
  Kept kept;
  float mySums[M][D / 8][4] = {};    // of dk, or dq
  float valueSums[M][D / 8][4] = {}; // of dv, if keys are owned

  __device__ Work(const Backward<bf16>& problem, bf16* shared)
      : Shape(blockDim.x / WARP, problem.Tq, problem.Tk), problem(problem),
        sight(problem.sight()), head(blockIdx.x % problem.heads), warps(blockDim.x / WARP),
        first(firstOwn()), scale(LOG2E * rsqrtf((float)problem.D)) {
    q = {shared};
    dy = q.from(this->queryRows);
    y = dy.from(this->queryRows);
    k = y.from(this->queryRows);
    v = k.from(this->keyRows);
    dS = {v.from(this->keyRows).data};
    lse = reinterpret_cast<float*>(dS.from(makesAll ? own : 0).data);
    delta = lse + this->queries();
    kept = {reinterpret_cast<uint16_t*>(delta + this->queries()), this->pitch()};
  }

  /** The first keys and the last queries come first: where it is causal, they have most to do. */
  __device__ int firstOwn() const {
    const int block = blockIdx.x / problem.heads;
    return (ownsKeys ? block : (int)ceilDiv(problem.Tq, own) - 1 - block) * own;
  }
  /** The first row of the warp's piece m; the longer a piece has work, the lower is m. */
  __device__ int piece(int m) const { return 16 * (warp() + (ownsKeys ? m : M - 1 - m) * warps); }
  /** How many keys some of `count` queries see. */
  __device__ int seenBy(int query, int count) const {
    return sight.seen(min(query + count, sight.Tq) - 1);
  }

  __device__ void run() {
    const int past = sight.Tk - sight.Tq;
    const int begin = ownsKeys && !makesAll && sight.causal ? max(0, first - past) / STEP : 0;
    const int end = (int)ceilDiv(ownsKeys ? sight.Tq : seenBy(first, own), STEP);
    if (begin < end) fetch(begin);
    if (problem.threshold == 0)
      kept.keepAll(this->queries(), this->keys() / 16, threadIdx.x, blockDim.x);
    for (int step = begin; step < end; step++) {
      const int at = step * STEP, place = step % 2 * STEP; // their first row; where it is
      waitForCopies<0>();
      __syncthreads(); // this step's rows are there, and all are done with the last one's
      if (step + 1 < end) fetch(step + 1);
      prepare(at, place, step == begin);
      __syncthreads();
      for (int row = 0; row < STEP; row += 16) {
        const int active = activePieces(at + row);
        if (active == M) add<M>(at, place, row);
        else if (active > 0) add<1>(at, place, row);
      }
      if constexpr (makesAll) {
        __syncthreads();
        makeQueryGradients(at, place);
      }
    }
    writeSums();
  }

  /** Begins to copy what a step needs of both sides. */
  __device__ void fetch(int step) {
    const int at = step * STEP, place = step % 2 * STEP;
    const int need = min(own, (int)ceilDiv(ownsKeys ? seenBy(at, STEP) - first : own, 16) * 16);
    if (ownsKeys) {
      fetchQueries(place, at, STEP);
      if (need > have) fetchKeys(have, first + have, need - have);
    } else {
      fetchKeys(place, at, STEP);
      if (need > have) fetchQueries(0, first, own);
    }
    have = max(have, need);
    commitCopies();
  }
  __device__ void fetchQueries(int to, int from, int count) const {
    stage(q, to, problem.rowsOf(problem.q, head, sight.Tq), from, count);
    stage(dy, to, problem.rowsOf(problem.dy, head, sight.Tq), from, count);
    stage(y, to, problem.rowsOf(problem.y, head, sight.Tq), from, count);
  }
  __device__ void fetchKeys(int to, int from, int count) const {
    stage(k, to, problem.rowsOf(problem.k, head, sight.Tk), from, count);
    stage(v, to, problem.rowsOf(problem.v, head, sight.Tk), from, count);
  }

  /** Finds lse and delta of the queries, and what dropout keeps. */
  __device__ void prepare(int at, int place, bool isFirst) const {
    const int query = ownsKeys ? at : first, i = threadIdx.x;
    const bool isWanted = (ownsKeys || isFirst) && i < this->queries();
    const float itsLse = isWanted && query + i < sight.Tq
                             ? problem.lse[(int64_t)head * sight.Tq + query + i] * LOG2E
                             : 0.0f;
    if (problem.threshold > 0)
      kept.draw(problem, sight, head, query, this->queries(), ownsKeys ? first : at,
                this->keys() / 16, threadIdx.x, blockDim.x);
    if (ownsKeys || isFirst)
      for (int row = 16 * warp(); row < this->queries(); row += 16 * warps)
        findDelta(row, ownsKeys ? place : 0);
    if (isWanted) lse[i] = itsLse;
  }

  /** delta of 16 queries: dy . y of each row. */
  __device__ void findDelta(int row, int place) const {
    float sums[2] = {};
#pragma unroll
    for (int i = 0; i < D; i += 16) {
      uint32_t a[4], b[4];
      loadA(a, dy, place + row, i);
      loadA(b, y, place + row, i);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        sums[j % 2] += __uint_as_float(a[j] << 16) * __uint_as_float(b[j] << 16);
        sums[j % 2] +=
            __uint_as_float(a[j] & 0xffff0000) * __uint_as_float(b[j] & 0xffff0000);
      }
    }
    const float low = quadSum(sums[0]), high = quadSum(sums[1]);
    if (t() == 0) {
      delta[row + g()] = low;
      delta[row + g() + 8] = high;
    }
  }

  /** How many of the warp's pieces have to do with the 16 rows of the other side at `at`. */
  __device__ int activePieces(int at) const {
    if (ownsKeys && at >= sight.Tq) return 0;
    int count = 0;
#pragma unroll
    for (int m = 0; m < M; m++)
      count += ownsKeys ? first + piece(m) < seenBy(at, 16) : at < seenBy(first + piece(m), 16);
    return count;
  }

  /** Adds what the 16 rows of the other side at `at` + `row` give to the first pieces' sums. */
  template <int PIECES>
  __device__ void add(int at, int place, int row) {
    const Tile<D>&mine = ownsKeys ? k : q, &mineToo = ownsKeys ? v : dy;
    const Tile<D>&theirs = ownsKeys ? q : k, &theirsToo = ownsKeys ? dy : v;
    float P[PIECES][2][4] = {}, S[PIECES][2][4] = {}; // at last dS
#pragma unroll
    for (int i = 0; i < D; i += 16) {
      uint32_t a[4], b[4], bToo[4];
      loadTransposedB(b, theirs, i, place + row);
      loadTransposedB(bToo, theirsToo, i, place + row);
#pragma unroll
      for (int m = 0; m < PIECES; m++) {
        loadA(a, mine, piece(m), i);
        multiply(P[m][0], P[m][1], a, b);
        loadA(a, mineToo, piece(m), i);
        multiply(S[m][0], S[m][1], a, bToo);
      }
    }

    uint32_t p[PIECES][4], s[PIECES][4];
#pragma unroll
    for (int m = 0; m < PIECES; m++) {
      weigh(P[m], S[m], at, row, piece(m));
      pack(p[m], P[m][0], P[m][1]);
      pack(s[m], S[m][0], S[m][1]);
      if constexpr (makesAll) put(dS, piece(m), row, S[m]);
    }
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      uint32_t b[4];
      loadB(b, theirs, place + row, 8 * n);
#pragma unroll
      for (int m = 0; m < PIECES; m++) multiply(mySums[m][n], mySums[m][n + 1], s[m], b);
      if constexpr (ownsKeys) {
        loadB(b, theirsToo, place + row, 8 * n);
#pragma unroll
        for (int m = 0; m < PIECES; m++) multiply(valueSums[m][n], valueSums[m][n + 1], p[m], b);
      }
    }
  }

  /**
   * Of scores P and products dy . v in S makes what is left of P, not scaled, and dS. All is loaded
   * and computed, then chosen: a branch for each element would keep loads from overlapping.
   */
  __device__ void weigh(float (&P)[2][4], float (&S)[2][4], int at, int row, int myRow) const {
    const float keptScale = problem.keptScale();
    const int firstQuery = ownsKeys ? at : first, firstKey = ownsKeys ? first : at;
    const bool areAllSeen = firstKey + (ownsKeys ? myRow : row) + 15 <
                            sight.seen(firstQuery + (ownsKeys ? row : myRow));
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int mine = myRow + g() + e / 2 * 8, their = row + 8 * n + 2 * t() + e % 2;
        const int query = ownsKeys ? their : mine, key = ownsKeys ? mine : their;
        const bool isSeen = areAllSeen | (firstKey + key < sight.seen(firstQuery + query));
        const bool isKept = kept.at(query, key);
        const float power = fastExp2(P[n][e] * scale - lse[query]);
        const float probability = isSeen ? power : 0.0f;
        P[n][e] = isKept ? probability : 0.0f;
        S[n][e] = probability * ((isKept ? S[n][e] * keptScale : 0.0f) - delta[query]);
      }
  }

  /** dq of a step's queries, of dS and all keys; a warp makes 16 rows, 32 columns at a time. */
  __device__ void makeQueryGradients(int at, int place) const {
    constexpr int WIDTH = D < 32 ? D : 32, ACROSS = D / WIDTH;
    const Rows<bf16> dq = problem.rowsOf(problem.dq, head, sight.Tq);
    for (int i = warp(); i < STEP / 16 * ACROSS; i += warps) {
      const int row = i / ACROSS * 16, column = i % ACROSS * WIDTH;
      if (at + row >= sight.Tq) continue;
      const int seen = seenBy(at + row, 16);
      float sums[WIDTH / 8][4] = {};
      for (int key = 0; key < seen; key += 16) {
        uint32_t a[4], b[4];
        loadTransposedA(a, dS, row, key);
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n += 2) {
          loadB(b, k, key, column + 8 * n);
          multiply(sums[n], sums[n + 1], a, b);
        }
      }
      multiplyBy(scale * LN2, sums);
      write(dq, at + row, column, sums, y.from(place), row); // nobody needs y any more
    }
  }

  /** By way of own rows that this warp alone has read. */
  __device__ void writeSums() {
    const Rows<bf16> rows = ownsKeys ? problem.rowsOf(problem.dk, head, sight.Tk)
                                     : problem.rowsOf(problem.dq, head, sight.Tq);
#pragma unroll
    for (int m = 0; m < M; m++) {
      multiplyBy(scale * LN2, mySums[m]);
      write(rows, first + piece(m), 0, mySums[m], ownsKeys ? v : dy, piece(m));
      if constexpr (ownsKeys) {
        multiplyBy(problem.keptScale(), valueSums[m]);
        write(problem.rowsOf(problem.dv, head, sight.Tk), first + piece(m), 0, valueSums[m], v,
              piece(m));
      }
    }
  }

  template <int N>
  static __device__ void multiplyBy(float factor, float (&c)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) c[n][e] *= factor;
  }
};

template <int D, Owner owner>
__global__ void __launch_bounds__(WARP * Shape<D, owner>::MOST_WARPS,
                               owner == Owner::allKeys ? 1 : 2)
    backward(Backward<bf16> problem) {
  DYNAMIC_SHARED(bf16, shared);
  Work<D, owner>(problem, shared).run();
}

template <int D, Owner owner>
void start(const Backward<bf16>& problem) {
  using Sizes = Shape<D, owner>;
  const int rows = Sizes::ownsKeys ? problem.Tk : problem.Tq;
  // at least 2 warps, so that there is a thread to each query in shared memory
  const int warps = (int)std::clamp<int64_t>(ceilDiv(rows, 16 * Sizes::M), 2, Sizes::MOST_WARPS);
  const int64_t blocks = Sizes::makesAll ? 1 : ceilDiv(rows, 16 * Sizes::M * warps);
  launch(backward<D, owner>, Dim((unsigned)(blocks * problem.heads)), warps * WARP,
         Sizes(warps, problem.Tq, problem.Tk).sharedBytes(), problem);
}

template <int D>
void start(const Backward<bf16>& problem) {
  using All = Shape<D, Owner::allKeys>;
  if (problem.Tk <= All::M * 16 * All::MOST_WARPS) return start<D, Owner::allKeys>(problem);
  start<D, Owner::keys>(problem);
  start<D, Owner::queries>(problem);
}

} // namespace

void flashBackward(const Backward<bf16>& problem) {
  if (problem.D <= 16) start<16>(problem);
  else if (problem.D <= 32) start<32>(problem);
  else if (problem.D <= 64) start<64>(problem);
  else start<128>(problem);
}

} // namespace tinybard::cuda
