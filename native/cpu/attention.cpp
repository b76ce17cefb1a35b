// Attention. A thread processes whole heads (attention_head.cpp), so the bits do not depend on the
// thread count. The kernels find the rows of each head in their buffers.

#include "attention_head.h"
#include "kernels.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t GRAIN = 32768; // multiply-adds that are not worth a second thread

/** Calls f(h) for all heads of Tq queries and Tk keys, on all threads; none if y is empty. */
template <class F>
void forEachHead(int64_t heads, int64_t Tq, int64_t Tk, int64_t D, const F& f) {
  if (D == 0) return;
  parallelFor(heads, 1 + GRAIN / (Tq * Tk * D + 1), [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; h++) f(h);
  });
}

/** Returns the rows of head bh = b H + h in part `part` of a buffer [B, T, parts, H, D]. */
inline HeadRows projectionRows(const float* data, int64_t bh, int64_t T, int64_t H, int64_t D,
                               int64_t parts, int64_t part) {
  const int64_t ld = parts * H * D;
  return headRows(data + bh / H * T * ld + part * H * D + bh % H * D, ld);
}

} // namespace

/**
 * y = dropout(softmax(q k^T / sqrt(D))) v per head; lse = log(sum(e^scores)). q, y [heads, Tq, D];
 * k, v [heads, Tk, D]; lse [heads, Tq]. Threads divide the heads.
 */
void attention(const f32* q, const f32* k, const f32* v, f32* y, f32* lse, const i32* rngState,
               int64_t heads, int64_t Tq, int64_t Tk, int64_t D, bool causal, int64_t site,
               double p) {
  const DropoutRng rng(rngState, site, p);
  const Format format = Format::forRows(Tq);
  forEachHead(heads, Tq, Tk, D, [&](int64_t h) {
    const int64_t query = h * Tq * D;
    const int64_t key = h * Tk * D;
    const uint64_t firstElement = h * Tq * Tk;
    const Head head = {{Tq, Tk, causal}, D, rng, p > 0, firstElement, lse + h * Tq, format};
    attendHead(head,
               headRows(q + query, D),
               headRows(k + key, D),
               headRows(v + key, D),
               headRows(y + query, D));
  });
}

/** dq, dk and dv of attention(), from its result y and lse. Threads divide the heads. */
void attentionBackward(const f32* q, const f32* k, const f32* v, const f32* y, const f32* lse,
                       const f32* dy, f32* dq, f32* dk, f32* dv, const i32* rngState, int64_t heads,
                       int64_t Tq, int64_t Tk, int64_t D, bool causal, int64_t site, double p) {
  const DropoutRng rng(rngState, site, p);
  const Format format = Format::forRows(Tq);
  forEachHead(heads, Tq, Tk, D, [&](int64_t h) {
    const int64_t query = h * Tq * D;
    const int64_t key = h * Tk * D;
    const uint64_t firstElement = h * Tq * Tk;
    float* headLse = const_cast<float*>(lse) + h * Tq;
    const Head head = {{Tq, Tk, causal}, D, rng, p > 0, firstElement, headLse, format};
    const HeadInputs inputs = {headRows(q + query, D),
                               headRows(k + key, D),
                               headRows(v + key, D),
                               headRows(y + query, D),
                               headRows(dy + query, D)};
    const HeadGradients grads = {headRows(dq + query, D),
                                 headRows(dk + key, D),
                                 headRows(dv + key, D)};
    attendHeadBackward(head, inputs, grads);
  });
}

/**
 * attention() of queries, keys and values in one buffer. qkv [B, T, 3, H, D], y [B, T, H, D],
 * lse [B, H, T]. Threads divide the B H heads.
 */
void selfAttention(const f32* qkv, f32* y, f32* lse, const i32* rngState, int64_t B, int64_t T,
                   int64_t H, int64_t D, bool causal, int64_t site, double p) {
  const DropoutRng rng(rngState, site, p);
  const Format format = Format::forRows(T);
  forEachHead(B * H, T, T, D, [&](int64_t bh) {
    const uint64_t firstElement = bh * T * T;
    const Head head = {{T, T, causal}, D, rng, p > 0, firstElement, lse + bh * T, format};
    attendHead(head,
               projectionRows(qkv, bh, T, H, D, 3, 0),
               projectionRows(qkv, bh, T, H, D, 3, 1),
               projectionRows(qkv, bh, T, H, D, 3, 2),
               projectionRows(y, bh, T, H, D, 1, 0));
  });
}

/** dqkv [B, T, 3, H, D] of selfAttention(), from its result y and lse. Threads divide the heads. */
void selfAttentionBackward(const f32* qkv, const f32* y, const f32* lse, const f32* dy, f32* dqkv,
                           const i32* rngState, int64_t B, int64_t T, int64_t H, int64_t D,
                           bool causal, int64_t site, double p) {
  const DropoutRng rng(rngState, site, p);
  const Format format = Format::forRows(T);
  forEachHead(B * H, T, T, D, [&](int64_t bh) {
    const uint64_t firstElement = bh * T * T;
    float* headLse = const_cast<float*>(lse) + bh * T;
    const Head head = {{T, T, causal}, D, rng, p > 0, firstElement, headLse, format};
    const HeadInputs inputs = {projectionRows(qkv, bh, T, H, D, 3, 0),
                               projectionRows(qkv, bh, T, H, D, 3, 1),
                               projectionRows(qkv, bh, T, H, D, 3, 2),
                               projectionRows(y, bh, T, H, D, 1, 0),
                               projectionRows(dy, bh, T, H, D, 1, 0)};
    const HeadGradients grads = {projectionRows(dqkv, bh, T, H, D, 3, 0),
                                 projectionRows(dqkv, bh, T, H, D, 3, 1),
                                 projectionRows(dqkv, bh, T, H, D, 3, 2)};
    attendHeadBackward(head, inputs, grads);
  });
}

/**
 * Appends the keys and values of T tokens to the cache at `length`, then attends causally over all
 * of it. qkv [B, T, 3, H, D]; cache [B, capacity, 2, H, D]; length [1]; y [B, T, H, D]. Threads
 * divide the B H heads.
 */
void cachedAttention(const f32* qkv, f32* cache, const i32* length, f32* y, int64_t B, int64_t T,
                     int64_t H, int64_t D, int64_t capacity) {
  const int64_t C = H * D;
  const int64_t past = *length;
  if (past < 0 || past + T > capacity)
    return kernelError("cachedAttention: %lld + %lld tokens, expected at most %lld",
                       (long long)past, (long long)T, (long long)capacity);
  for (int64_t b = 0; b < B; b++) {
    for (int64_t t = 0; t < T; t++) {
      float* to = cache + (b * capacity + past + t) * 2 * C;
      const float* from = qkv + (b * T + t) * 3 * C + C;
      std::memcpy(to, from, (size_t)(2 * C) * sizeof(float));
    }
  }
  const int64_t Tk = past + T;
  const DropoutRng rng(nullptr, 0, 0);
  const Format format = Format::forRows(T);
  forEachHead(B * H, T, Tk, D, [&](int64_t bh) {
    const float* keys = cache + bh / H * capacity * 2 * C + bh % H * D;
    const Head head = {{T, Tk, true}, D, rng, false, 0, scratch(2, T), format};
    attendHead(head,
               projectionRows(qkv, bh, T, H, D, 3, 0),
               headRows(keys, 2 * C),
               headRows(keys + C, 2 * C),
               projectionRows(y, bh, T, H, D, 1, 0));
  });
}

} // namespace tinybard::SIMD
