// The attention kernels of the kernel interface: they describe where the heads are in memory and
// choose an implementation.

#include "../kernels.h"
#include "../random.cuh"
#include "attention.h"

namespace tinybard::cuda {
namespace {

template <class F>
void setSizes(Attention<F>& problem, int64_t headCount, int64_t H, int64_t Tq, int64_t Tk,
              int64_t D) {
  problem.headCount = (int)headCount;
  problem.H = (int)H;
  problem.Tq = (int)Tq;
  problem.Tk = (int)Tk;
  problem.D = (int)D;
}

template <class F>
void setDropout(Attention<F>& problem, const i32* rngState, int64_t site, double p) {
  problem.rngState = rngState;
  problem.site = (uint32_t)site;
  problem.threshold = DropoutRng::toThreshold(p);
}

template <class F>
void run(const AttentionForward<F>& problem) {
  if constexpr (sizeof(F) == 2) {
    if (problem.D <= MAX_HEAD_DIM) return flashForward(problem);
  }
  simtForward(problem);
}

template <class F>
void run(const AttentionBackward<F>& problem) {
  if constexpr (sizeof(F) == 2) {
    if (problem.D <= MAX_HEAD_DIM) return flashBackward(problem);
  }
  simtBackward(problem);
}

} // namespace

/** q, y [heads, Tq, D]; k, v [heads, Tk, D]; lse [heads, Tq]. */
template <class F>
void attention(const F* q, const F* k, const F* v, F* y, f32* lse, const i32* rngState,
               int64_t heads, int64_t Tq, int64_t Tk, int64_t D, bool causal, int64_t site,
               double p) {
  if (D == 0) return; // y is empty
  AttentionForward<F> problem{};
  problem.q = viewHeads(q, 0, 1, Tq, 1, D);
  problem.k = viewHeads(k, 0, 1, Tk, 1, D);
  problem.v = viewHeads(v, 0, 1, Tk, 1, D);
  problem.y = viewHeads(y, 0, 1, Tq, 1, D);
  problem.lse = lse;
  problem.causal = causal;
  problem.isAligned = canVectorize<F>(D, q, k, v, y);
  setSizes(problem, heads, 1, Tq, Tk, D);
  setDropout(problem, rngState, site, p);
  run(problem);
}

/** q, y, dy, dq [heads, Tq, D]; k, v, dk, dv [heads, Tk, D]; lse [heads, Tq]. */
template <class F>
void attentionBackward(const F* q, const F* k, const F* v, const F* y, const f32* lse, const F* dy,
                       F* dq, F* dk, F* dv, const i32* rngState, int64_t heads, int64_t Tq,
                       int64_t Tk, int64_t D, bool causal, int64_t site, double p) {
  if (D == 0) return; // y is empty
  AttentionBackward<F> problem{};
  problem.q = viewHeads(q, 0, 1, Tq, 1, D);
  problem.k = viewHeads(k, 0, 1, Tk, 1, D);
  problem.v = viewHeads(v, 0, 1, Tk, 1, D);
  problem.y = viewHeads(y, 0, 1, Tq, 1, D);
  problem.dy = viewHeads(dy, 0, 1, Tq, 1, D);
  problem.lse = lse;
  problem.dq = viewHeads(dq, 0, 1, Tq, 1, D);
  problem.dk = viewHeads(dk, 0, 1, Tk, 1, D);
  problem.dv = viewHeads(dv, 0, 1, Tk, 1, D);
  problem.causal = causal;
  problem.isAligned = canVectorize<F>(D, q, k, v, y, dy, dq, dk, dv);
  setSizes(problem, heads, 1, Tq, Tk, D);
  setDropout(problem, rngState, site, p);
  run(problem);
}

/** qkv [B, T, 3, H, D]; y [B, T, H, D]; lse [B, H, T]. */
template <class F>
void selfAttention(const F* qkv, F* y, f32* lse, const i32* rngState, int64_t B, int64_t T,
                   int64_t H, int64_t D, bool causal, int64_t site, double p) {
  if (D == 0) return; // y is empty
  AttentionForward<F> problem{};
  problem.q = viewHeads(qkv, 0, 3, T, H, D);
  problem.k = viewHeads(qkv, 1, 3, T, H, D);
  problem.v = viewHeads(qkv, 2, 3, T, H, D);
  problem.y = viewHeads(y, 0, 1, T, H, D);
  problem.lse = lse;
  problem.causal = causal;
  problem.isAligned = canVectorize<F>(D, qkv, y);
  setSizes(problem, B * H, H, T, T, D);
  setDropout(problem, rngState, site, p);
  run(problem);
}

/** qkv, dqkv [B, T, 3, H, D]; y, dy [B, T, H, D]; lse [B, H, T]. */
template <class F>
void selfAttentionBackward(const F* qkv, const F* y, const f32* lse, const F* dy, F* dqkv,
                           const i32* rngState, int64_t B, int64_t T, int64_t H, int64_t D,
                           bool causal, int64_t site, double p) {
  if (D == 0) return; // y is empty
  AttentionBackward<F> problem{};
  problem.q = viewHeads(qkv, 0, 3, T, H, D);
  problem.k = viewHeads(qkv, 1, 3, T, H, D);
  problem.v = viewHeads(qkv, 2, 3, T, H, D);
  problem.y = viewHeads(y, 0, 1, T, H, D);
  problem.dy = viewHeads(dy, 0, 1, T, H, D);
  problem.lse = lse;
  problem.dq = viewHeads(dqkv, 0, 3, T, H, D);
  problem.dk = viewHeads(dqkv, 1, 3, T, H, D);
  problem.dv = viewHeads(dqkv, 2, 3, T, H, D);
  problem.causal = causal;
  problem.isAligned = canVectorize<F>(D, qkv, y, dy, dqkv);
  setSizes(problem, B * H, H, T, T, D);
  setDropout(problem, rngState, site, p);
  run(problem);
}

/**
 * qkv [B, T, 3, H, D], the new tokens; cache [B, capacity, 2, H, D], their keys and values appended
 * at position `length`; y [B, T, H, D].
 */
template <class F>
void cachedAttention(const F* qkv, F* cache, const i32* length, F* y, int64_t B, int64_t T,
                     int64_t H, int64_t D, int64_t capacity) {
  if (D == 0) return; // y is empty
  const F* const readCache = cache;
  AttentionDecode<F> problem{};
  problem.q = viewHeads(qkv, 0, 3, T, H, D);
  problem.k = viewHeads(readCache, 0, 2, capacity, H, D);
  problem.v = viewHeads(readCache, 1, 2, capacity, H, D);
  problem.y = viewHeads(y, 0, 1, T, H, D);
  problem.causal = true;
  problem.isAligned = canVectorize<F>(D, qkv, cache, y);
  problem.past = length;
  setSizes(problem, B * H, H, T, capacity, D);
  if (T == 1 && D <= MAX_HEAD_DIM) {
    problem.newK = viewHeads(qkv, 1, 3, T, H, D);
    problem.newV = viewHeads(qkv, 2, 3, T, H, D);
    problem.cacheK = viewHeads(cache, 0, 2, capacity, H, D);
    problem.cacheV = viewHeads(cache, 1, 2, capacity, H, D);
    problem.indexError = deviceIndexError();
    return decodeAttention(problem);
  }
  appendToCache(qkv, cache, length, B, T, H * D, capacity);
  run<F>(problem);
}

FOR_FLOATS(attention)
FOR_FLOATS(attentionBackward)
FOR_FLOATS(selfAttention)
FOR_FLOATS(selfAttentionBackward)
FOR_FLOATS(cachedAttention)

} // namespace tinybard::cuda
