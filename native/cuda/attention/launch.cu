// Attention's launchers: they say where the rows of heads lie, and choose among the kernels.

#include "../kernels.h"
#include "../random.cuh"
#include "attention.h"

namespace tinybard::cuda {
namespace {

template <class F>
Attention<F> over(Heads<const F> q, Heads<const F> k, Heads<const F> v, int64_t heads, int64_t H,
                  int64_t Tq, int64_t Tk, int64_t D, bool causal, bool packed, const i32* rngState,
                  int64_t site, double p, const i32* past = nullptr) {
  return {q,      k,      v,     (int)heads,     (int)H,                (int)Tq, (int)Tk, (int)D,
          causal, packed, rngState, (uint32_t)site, DropoutRng::toThreshold(p), past};
}

template <class F>
void start(const Forward<F>& problem) {
  if constexpr (sizeof(F) == 2)
    if (problem.D <= MOST_D) return flashForward(problem);
  plainForward(problem);
}

template <class F>
void start(const Backward<F>& problem) {
  if constexpr (sizeof(F) == 2)
    if (problem.D <= MOST_D) return flashBackward(problem);
  plainBackward(problem);
}

/** Refuses heads without elements. */
bool hasElements(int64_t D) {
  if (D == 0) kernelError("attention: D is 0, expected at least 1");
  return D > 0;
}

} // namespace

template <class F>
void attention(const F* q, const F* k, const F* v, F* y, f32* lse, const i32* rngState, int64_t heads,
               int64_t Tq, int64_t Tk, int64_t D, bool causal, int64_t site, double p) {
  if (!hasElements(D)) return;
  const auto rows = [&](auto* x, int64_t T) { return partOf(x, 0, 1, T, 1, D); };
  const bool packed = canVectorize<F>(D, q, k, v, y);
  start(Forward<F>{over(rows(q, Tq), rows(k, Tk), rows(v, Tk), heads, 1, Tq, Tk, D, causal, packed,
                        rngState, site, p),
                   rows(y, Tq), lse});
}

template <class F>
void attentionBackward(const F* q, const F* k, const F* v, const F* y, const f32* lse, const F* dy,
                       F* dq, F* dk, F* dv, const i32* rngState, int64_t heads, int64_t Tq,
                       int64_t Tk, int64_t D, bool causal, int64_t site, double p) {
  if (!hasElements(D)) return;
  const auto rows = [&](auto* x, int64_t T) { return partOf(x, 0, 1, T, 1, D); };
  const bool packed = canVectorize<F>(D, q, k, v, y, dy, dq, dk, dv);
  start(Backward<F>{over(rows(q, Tq), rows(k, Tk), rows(v, Tk), heads, 1, Tq, Tk, D, causal,
                         packed, rngState, site, p),
                    rows(y, Tq), rows(dy, Tq), lse, rows(dq, Tq), rows(dk, Tk), rows(dv, Tk)});
}

template <class F>
void selfAttention(const F* qkv, F* y, f32* lse, const i32* rngState, int64_t B, int64_t T, int64_t H,
                   int64_t D, bool causal, int64_t site, double p) {
  if (!hasElements(D)) return;
  const auto part = [&](int i) { return partOf(qkv, i, 3, T, H, D); };
  start(Forward<F>{over(part(0), part(1), part(2), B * H, H, T, T, D, causal,
                        canVectorize<F>(D, qkv, y), rngState, site, p),
                   partOf(y, 0, 1, T, H, D), lse});
}

template <class F>
void selfAttentionBackward(const F* qkv, const F* y, const f32* lse, const F* dy, F* dqkv,
                           const i32* rngState, int64_t B, int64_t T, int64_t H, int64_t D,
                           bool causal, int64_t site, double p) {
  if (!hasElements(D)) return;
  const auto part = [&](auto* x, int i) { return partOf(x, i, 3, T, H, D); };
  start(Backward<F>{over(part(qkv, 0), part(qkv, 1), part(qkv, 2), B * H, H, T, T, D, causal,
                         canVectorize<F>(D, qkv, y, dy, dqkv), rngState, site, p),
                    partOf(y, 0, 1, T, H, D), partOf(dy, 0, 1, T, H, D), lse, part(dqkv, 0),
                    part(dqkv, 1), part(dqkv, 2)});
}

template <class F>
void cachedAttention(const F* qkv, F* cache, const i32* length, F* y, int64_t B, int64_t T,
                     int64_t H, int64_t D, int64_t capacity) {
  if (!hasElements(D)) return;
  const auto part = [&](int i) { return partOf(qkv, i, 3, T, H, D); };
  const auto cached = [&](auto* x, int i) { return partOf(x, i, 2, capacity, H, D); };
  const F* const kept = cache;
  const Forward<F> problem = {over(part(0), cached(kept, 0), cached(kept, 1), B * H, H, T,
                                   capacity, D, true, canVectorize<F>(D, qkv, cache, y), nullptr, 0,
                                   0, length),
                              partOf(y, 0, 1, T, H, D), nullptr};
  if (T == 1 && D <= MOST_D)
    return attendOne(Cached<F>{problem, part(1), part(2), cached(cache, 0), cached(cache, 1),
                               deviceIndexError()});
  append(qkv, cache, length, B, T, H * D, capacity);
  start(problem);
}

FOR_FLOATS(attention)
FOR_FLOATS(attentionBackward)
FOR_FLOATS(selfAttention)
FOR_FLOATS(selfAttentionBackward)
FOR_FLOATS(cachedAttention)

} // namespace tinybard::cuda
