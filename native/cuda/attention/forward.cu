// Attention's forward pass on tensor cores: FlashAttention-2 (Dao, 2023). A block has 64 queries of
// a head, a warp 16 of them; keys and values come through shared memory 64 at a time, the next ones
// being copied while these are worked on. The softmax is taken online: whenever a row's largest
// score grows, what was summed up so far is scaled down.

#include "flash.cuh"

namespace tinybard::cuda {
namespace {

constexpr int WARPS = 4, QUERIES = 16 * WARPS, KEYS = 64;

template <int D>
constexpr size_t sharedBytes() {
  return (QUERIES + 4 * KEYS) * D * sizeof(bf16) + QUERIES * KEYS / 16 * sizeof(uint16_t);
}

/** What a warp has of its 16 rows of y: halves belong to rows g and g + 8. */
template <int D>
struct Online {
  float y[D / 8][4] = {};
  float top[2] = {-INFINITY, -INFINITY}; // the largest score, not scaled
  float total[2] = {};                   // this lane's part of sum(e^(score - top))

  /** Turns scores s into e^(scale (s - top)), base 2, and adds them up. */
  __device__ void weigh(float (&s)[KEYS / 8][4], float scale) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = top[half];
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
        largest = fmaxf(largest, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
      largest = quadMax(largest);
      const float shift = largest == -INFINITY ? 0.0f : largest * scale; // no NaN from -inf + inf
      const float shrink = fastExp2(top[half] * scale - shift);
      top[half] = largest;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; e++) {
          s[n][e] = fastExp2(s[n][e] * scale - shift);
          sum += s[n][e];
        }
      total[half] = total[half] * shrink + sum;
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        y[n][2 * half] *= shrink;
        y[n][2 * half + 1] *= shrink;
      }
    }
  }
};

template <int D>
__global__ void __launch_bounds__(WARPS * WARP, D > 64 ? 2 : 4) forward(Forward<bf16> problem) {
  if (!problem.isPossible()) return; // nor does any other thread go on
  const Sight sight = problem.sight();
  // the last queries of all heads first: they see the most keys
  const int head = blockIdx.x % problem.heads;
  const int tiles = (int)ceilDiv(sight.Tq, QUERIES);
  const int first = (tiles - 1 - (int)(blockIdx.x / problem.heads)) * QUERIES;
  const Rows<const bf16> q = problem.rowsOf(problem.q, head, sight.Tq);
  const Rows<const bf16> k = problem.rowsOf(problem.k, head, sight.Tk);
  const Rows<const bf16> v = problem.rowsOf(problem.v, head, sight.Tk);
  const int steps = (int)ceilDiv(sight.seen(min(first + QUERIES, sight.Tq) - 1), KEYS);
  const bool drops = problem.threshold > 0;

  DYNAMIC_SHARED(bf16, shared);
  const Tile<D> queries = {shared};
  const Tile<D> keys = queries.from(QUERIES), values = keys.from(2 * KEYS);
  const Kept kept = {reinterpret_cast<uint16_t*>(values.from(2 * KEYS).data), KEYS / 16};
  const int row = 16 * warp();           // this warp's first one in the tile of queries
  const int leastSeen = sight.seen(first + row);
  const int mostSeen = first + row < sight.Tq ? sight.seen(first + row + 15) : 0;
  const float scale = LOG2E * rsqrtf((float)problem.D);

  Online<D> online;
  if (steps > 0) {
    stage(queries, 0, q, first, QUERIES);
    stage(keys, 0, k, 0, KEYS);
    stage(values, 0, v, 0, KEYS);
    commitCopies();
  }
  for (int step = 0; step < steps; step++) {
    const int key = step * KEYS, now = step % 2 * KEYS, next = KEYS - now;
    waitForCopies<0>();
    __syncthreads(); // this step's tiles are there, and all are done with the last one's
    if (step + 1 < steps) {
      stage(keys, next, k, key + KEYS, KEYS);
      stage(values, next, v, key + KEYS, KEYS);
      commitCopies();
    }
    if (key >= mostSeen) continue;
    if (drops) {
      __syncwarp(); // all have read the last step's bits
      kept.from(row).draw(problem, sight, head, first + row, 16, key, KEYS / 16, lane(), WARP);
      __syncwarp();
    }

    float s[KEYS / 8][4] = {};
#pragma unroll
    for (int i = 0; i < D; i += 16) {
      uint32_t a[4], b[4];
      loadA(a, queries, row, i);
#pragma unroll
      for (int n = 0; n < KEYS / 8; n += 2) {
        loadTransposedB(b, keys.from(now), i, 8 * n);
        multiply(s[n], s[n + 1], a, b);
      }
    }
    if (key + KEYS > leastSeen) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int seen = sight.seen(first + row + g() + 8 * half) - key;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int e = 0; e < 2; e++)
            if (8 * n + 2 * t() + e >= seen) s[n][2 * half + e] = -INFINITY;
      }
    }
    online.weigh(s, scale);
    if (drops) {
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          if (!kept.at(row + g() + e / 2 * 8, 8 * n + 2 * t() + e % 2)) s[n][e] = 0.0f;
    }
#pragma unroll
    for (int i = 0; i < KEYS / 16; i++) {
      uint32_t p[4];
      pack(p, s[2 * i], s[2 * i + 1]);
#pragma unroll
      for (int n = 0; n < D / 8; n += 2) {
        uint32_t b[4];
        loadB(b, values.from(now), 16 * i, 8 * n);
        multiply(online.y[n], online.y[n + 1], p, b);
      }
    }
  }

#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int i = first + row + g() + 8 * half;
    const bool seesAny = sight.seen(i) > 0;
    const float total = quadSum(online.total[half]);
    const float share = seesAny ? problem.keptScale() / total : 0.0f;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      online.y[n][2 * half] *= share;
      online.y[n][2 * half + 1] *= share;
    }
    if (problem.lse && t() == 0 && i < sight.Tq)
      problem.lse[(int64_t)head * sight.Tq + i] =
          seesAny ? LN2 * (online.top[half] * scale + log2f(total)) : 0.0f;
  }
  write(problem.rowsOf(problem.y, head, sight.Tq), first + row, 0, online.y, queries, row);
}

template <int D>
void start(const Forward<bf16>& problem) {
  launch(forward<D>, Dim((unsigned)(problem.heads * ceilDiv(problem.Tq, QUERIES))), WARPS * WARP,
         sharedBytes<D>(), problem);
}

} // namespace

void flashForward(const Forward<bf16>& problem) {
  if (problem.D <= 16) start<16>(problem);
  else if (problem.D <= 32) start<32>(problem);
  else if (problem.D <= 64) start<64>(problem);
  else start<128>(problem);
}

} // namespace tinybard::cuda
