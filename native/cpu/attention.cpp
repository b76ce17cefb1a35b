// Attention: a thread has whole heads, and goes through a head's queries in blocks whose scores
// against all keys fit the cache. The forward pass saves the log of each row's normalizer (lse);
// the backward pass computes the probabilities again from it (Dao et al., 2022). Where it is
// causal, keys that no query of a block may see are left out.

#include "kernels.h"
#include "random.h"
#include "tile.h"
#include "vecmath.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t BLOCK = 32;    // queries
constexpr int64_t GRAIN = 16384; // elements: fewer are not worth a second thread

/** The rows of one head: row t is data[t step ... t step + D - 1]. */
struct Rows {
  float* data;
  int64_t step;
  float* operator[](int64_t t) const { return data + t * step; }
};

inline Rows rowsOf(const float* data, int64_t step) { return {const_cast<float*>(data), step}; }

/** What one head attends over. */
struct Head {
  int64_t Tq, Tk, D;
  bool isCausal;
  Drop drop;
  bool drops;
  uint64_t element; // the index of its first probability, for dropout
  float* lse;

  /** How many keys query i sees. */
  int64_t seen(int64_t i) const {
    if (!isCausal) return Tk;
    const int64_t keys = i + 1 + Tk - Tq;
    return keys < 0 ? 0 : keys < Tk ? keys : Tk;
  }
};

inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

/** y_i = sum_j P_ij v_j, P = softmax(q k^T / sqrt D) */
void attend(const Head& head, Rows q, Rows k, Rows v, Rows y) {
  const int64_t step = padded(head.Tk), D = head.D;
  float* keys = scratch(0, step * D); // (D, Tk)
  float* scores = scratch(1, BLOCK * step + step);
  float* keep = scores + BLOCK * step;
  const Vec scale = (float)(1 / std::sqrt((double)D));
  transposeInto(k.data, k.step, keys, step, head.Tk, D);
  for (int64_t first = 0; first < head.Tq; first += BLOCK) {
    const int64_t last = first + BLOCK < head.Tq ? first + BLOCK : head.Tq;
    const int64_t width = head.seen(last - 1);
    multiply({q[first], q.step, false}, keys, step, scores, step, last - first, width, D,
             Start::zero);
    float tops[BLOCK], totals[BLOCK];
    for (int64_t i = first; i < last; i++) {
      const int64_t seen = head.seen(i);
      float* row = scores + (i - first) * step;
      Vec top = -INFINITY;
      across(seen, [&](int64_t j, int64_t lanes) {
        const Vec s = Vec::load(row + j, lanes) * scale;
        top = max(select(Vec::first(lanes), s, Vec(-INFINITY)), top);
      });
      const Vec shift = tops[i - first] = seen > 0 ? largest(top) : 0;
      Vec total = 0.0f;
      across(seen, [&](int64_t j, int64_t lanes) {
        const Vec e = exp(fma(Vec::load(row + j, lanes), scale, -shift));
        e.store(row + j, lanes);
        total = total + select(Vec::first(lanes), e, Vec(0.0f));
      });
      totals[i - first] = seen > 0 ? sum(total) : 1;
      if (head.drops) keepScales(head.drop, keep, head.element + i * head.Tk, seen);
      const Vec share = 1 / totals[i - first];
      across(seen, [&](int64_t j, int64_t lanes) {
        const Vec p = Vec::load(row + j, lanes) * share;
        (head.drops ? p * Vec::load(keep + j, lanes) : p).store(row + j, lanes);
      });
      for (int64_t j = seen; j < width; j++) row[j] = 0;
    }
    across(last - first, [&](int64_t i, int64_t lanes) {
      const Vec lse = Vec::load(tops + i, lanes) + log(Vec::load(totals + i, lanes));
      lse.store(head.lse + first + i, lanes);
    });
    multiply({scores, step, false}, v.data, v.step, y[first], y.step, last - first, D, width,
             Start::zero);
  }
}

/**
 * With w_ij = P_ij drop_ij:  dv_j = sum_i w_ij dy_i;  dP_ij = drop_ij dy_i . v_j;
 * dS_ij = P_ij (dP_ij - dy_i . y_i) / sqrt D;  dq_i = sum_j dS_ij k_j;  dk_j = sum_i dS_ij q_i.
 */
void attendBackward(const Head& head, Rows q, Rows k, Rows v, Rows y, Rows dy, Rows dq, Rows dk,
                    Rows dv) {
  const int64_t step = padded(head.Tk), D = head.D;
  float* keys = scratch(0, 2 * step * D); // (D, Tk)
  float* values = keys + step * D;        // (D, Tk)
  float* weights = scratch(1, 2 * BLOCK * step + step);
  float* slopes = weights + BLOCK * step;
  float* keep = slopes + BLOCK * step;
  const Vec scale = (float)(1 / std::sqrt((double)D));
  transposeInto(k.data, k.step, keys, step, head.Tk, D);
  transposeInto(v.data, v.step, values, step, head.Tk, D);
  for (int64_t j = 0; j < head.Tk; j++) {
    std::memset(dk[j], 0, (size_t)D * sizeof(float));
    std::memset(dv[j], 0, (size_t)D * sizeof(float));
  }
  for (int64_t first = 0; first < head.Tq; first += BLOCK) {
    const int64_t last = first + BLOCK < head.Tq ? first + BLOCK : head.Tq, rows = last - first;
    const int64_t width = head.seen(last - 1);
    multiply({q[first], q.step, false}, keys, step, weights, step, rows, width, D, Start::zero);
    multiply({dy[first], dy.step, false}, values, step, slopes, step, rows, width, D, Start::zero);
    for (int64_t i = first; i < last; i++) {
      const int64_t seen = head.seen(i);
      float *weight = weights + (i - first) * step, *slope = slopes + (i - first) * step;
      Vec dot = 0.0f;
      across(D, [&](int64_t d, int64_t lanes) {
        dot = fma(Vec::load(dy[i] + d, lanes), Vec::load(y[i] + d, lanes), dot);
      });
      const Vec delta = sum(dot), lse = head.lse[i];
      if (head.drops) keepScales(head.drop, keep, head.element + i * head.Tk, seen);
      across(seen, [&](int64_t j, int64_t lanes) {
        const Vec p = exp(fma(Vec::load(weight + j, lanes), scale, -lse));
        const Vec kept = head.drops ? Vec::load(keep + j, lanes) : Vec(1.0f);
        const Vec dP = Vec::load(slope + j, lanes) * kept;
        (p * (dP - delta) * scale).store(slope + j, lanes);
        (p * kept).store(weight + j, lanes);
      });
      for (int64_t j = seen; j < width; j++) weight[j] = slope[j] = 0;
    }
    multiply({weights, step, true}, dy[first], dy.step, dv.data, dv.step, width, D, rows, Start::c);
    multiply({slopes, step, true}, q[first], q.step, dk.data, dk.step, width, D, rows, Start::c);
    multiply({slopes, step, false}, k.data, k.step, dq[first], dq.step, rows, D, width,
             Start::zero);
  }
}

/** f(head) for all heads, on all threads; each does work D multiply-adds. */
template <class F>
void eachHead(int64_t heads, int64_t work, int64_t D, const F& f) {
  if (D == 0) return kernelError("attention: D is 0, expected at least 1");
  parallelFor(heads, 1 + 32768 / (work * D + 1), [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; h++) f(h);
  });
}

/** One of the H heads of a sequence in a projection [B, T, parts, H, D]. */
inline Rows partOf(const float* data, int64_t bh, int64_t T, int64_t H, int64_t D, int64_t parts,
                   int64_t part) {
  return rowsOf(data + bh / H * T * parts * H * D + part * H * D + bh % H * D, parts * H * D);
}

/** More tokens than there are places for. */
void reportFullCache(const char* kernel, int64_t past, int64_t T, int64_t capacity) {
  kernelError("%s: %lld + %lld tokens, expected at most %lld",
              kernel, (long long)past, (long long)T, (long long)capacity);
}

} // namespace

void attention(const f32* q, const f32* k, const f32* v, f32* y, f32* lse, const i32* rngState,
               int64_t heads, int64_t Tq, int64_t Tk, int64_t D, bool causal, int64_t site,
               double p) {
  const Drop drop(rngState, site, p);
  eachHead(heads, Tq * Tk, D, [&](int64_t h) {
    const int64_t queries = h * Tq * D, keys = h * Tk * D;
    attend({Tq, Tk, D, causal, drop, p > 0, (uint64_t)(h * Tq * Tk), lse + h * Tq},
           rowsOf(q + queries, D), rowsOf(k + keys, D), rowsOf(v + keys, D),
           rowsOf(y + queries, D));
  });
}

void attentionBackward(const f32* q, const f32* k, const f32* v, const f32* y, const f32* lse,
                       const f32* dy, f32* dq, f32* dk, f32* dv, const i32* rngState, int64_t heads,
                       int64_t Tq, int64_t Tk, int64_t D, bool causal, int64_t site, double p) {
  const Drop drop(rngState, site, p);
  eachHead(heads, Tq * Tk, D, [&](int64_t h) {
    const int64_t queries = h * Tq * D, keys = h * Tk * D;
    attendBackward({Tq, Tk, D, causal, drop, p > 0, (uint64_t)(h * Tq * Tk),
                    const_cast<float*>(lse) + h * Tq},
                   rowsOf(q + queries, D), rowsOf(k + keys, D), rowsOf(v + keys, D),
                   rowsOf(y + queries, D), rowsOf(dy + queries, D), rowsOf(dq + queries, D),
                   rowsOf(dk + keys, D), rowsOf(dv + keys, D));
  });
}

void selfAttention(const f32* qkv, f32* y, f32* lse, const i32* rngState, int64_t B, int64_t T,
                   int64_t H, int64_t D, bool causal, int64_t site, double p) {
  const Drop drop(rngState, site, p);
  eachHead(B * H, T * T, D, [&](int64_t bh) {
    const auto part = [&](int64_t i) { return partOf(qkv, bh, T, H, D, 3, i); };
    attend({T, T, D, causal, drop, p > 0, (uint64_t)(bh * T * T), lse + bh * T}, part(0), part(1),
           part(2), partOf(y, bh, T, H, D, 1, 0));
  });
}

void selfAttentionBackward(const f32* qkv, const f32* y, const f32* lse, const f32* dy, f32* dqkv,
                           const i32* rngState, int64_t B, int64_t T, int64_t H, int64_t D,
                           bool causal, int64_t site, double p) {
  const Drop drop(rngState, site, p);
  eachHead(B * H, T * T, D, [&](int64_t bh) {
    const auto part = [&](const float* x, int64_t i) { return partOf(x, bh, T, H, D, 3, i); };
    const auto whole = [&](const float* x) { return partOf(x, bh, T, H, D, 1, 0); };
    attendBackward({T, T, D, causal, drop, p > 0, (uint64_t)(bh * T * T),
                    const_cast<float*>(lse) + bh * T},
                   part(qkv, 0), part(qkv, 1), part(qkv, 2), whole(y), whole(dy), part(dqkv, 0),
                   part(dqkv, 1), part(dqkv, 2));
  });
}

void cachedAttention(const f32* qkv, f32* cache, const i32* length, f32* y, int64_t B, int64_t T,
                     int64_t H, int64_t D, int64_t capacity) {
  const int64_t C = H * D, past = *length;
  if (past < 0 || past + T > capacity) return reportFullCache("cachedAttention", past, T, capacity);
  for (int64_t b = 0; b < B; b++)
    for (int64_t t = 0; t < T; t++)
      std::memcpy(cache + (b * capacity + past + t) * 2 * C, qkv + (b * T + t) * 3 * C + C,
                  (size_t)(2 * C) * sizeof(float));
  const Drop drop(nullptr, 0, 0);
  eachHead(B * H, T * (past + T), D, [&](int64_t bh) {
    const float* keys = cache + bh / H * capacity * 2 * C + bh % H * D;
    float* lse = scratch(2, T);
    attend({T, past + T, D, true, drop, false, 0, lse}, partOf(qkv, bh, T, H, D, 3, 0),
           rowsOf(keys, 2 * C), rowsOf(keys + C, 2 * C), partOf(y, bh, T, H, D, 1, 0));
  });
}

void rotary(const f32* x, const f32* table, const i32* length, f32* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t half, int64_t capacity, int64_t turned, bool inverse) {
  const int64_t past = length ? *length : 0;
  if (past < 0 || past + T > capacity) return reportFullCache("rotary", past, T, capacity);
  const Vec sign = inverse ? -1.0f : 1.0f;
  parallelFor(B * T * parts, 1 + GRAIN / (2 * H * half + 1), [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      const float* from = x + part * H * 2 * half;
      float* to = y + part * H * 2 * half;
      const float* angles = table + (past + part / parts % T) * 2 * half;
      if (part % parts >= turned) {
        std::memcpy(to, from, (size_t)(H * 2 * half) * sizeof(float));
        continue;
      }
      for (int64_t h = 0; h < H; h++, from += 2 * half, to += 2 * half)
        for (int64_t i = 0; i < half; i += Vec::width) {
          const int64_t n = lanesLeft(i, half);
          const Vec a = Vec::load(from + i, n), b = Vec::load(from + half + i, n);
          const Vec cos = Vec::load(angles + i, n), sin = sign * Vec::load(angles + half + i, n);
          (a * cos - b * sin).store(to + i, n);
          (a * sin + b * cos).store(to + half + i, n);
        }
    }
  });
}

} // namespace tinybard::SIMD
