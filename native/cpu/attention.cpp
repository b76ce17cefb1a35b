// Attention. A thread processes whole heads, and a head's queries in blocks, whose scores against
// all keys fit in the cache; the [Tq, Tk] matrix of a head is never stored. The forward pass saves
// the log-sum-exp (lse) of each row of scores, and the backward pass recomputes the probabilities
// from it (FlashAttention, Dao et al., 2022). With a causal mask, keys that no query of a block
// attends to are skipped, and a query never depends on a later key, not even if that key is NaN. A
// head is processed by one thread, so the bits do not depend on the thread count.

#include "kernels.h"
#include "random.h"
#include "tile.h"
#include "vecmath.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t BLOCK = 32;    // queries
constexpr int64_t GRAIN = 32768; // multiply-adds that are not worth a second thread

/** A head's rows [T, D] of a buffer: row t is data[t ld] to data[t ld + D - 1]. */
struct HeadRows {
  float* data;
  int64_t ld;

  float* operator[](int64_t t) const { return data + t * ld; }
  /** Returns the rows from t on as an operand of a matrix multiplication. */
  Matrix from(int64_t t) const { return {data + t * ld, ld}; }
};

/** Inputs and outputs share one type; kernels only write to the rows of outputs. */
inline HeadRows headRows(const float* data, int64_t ld) { return {const_cast<float*>(data), ld}; }

/** Which keys each query attends to: all Tk, or if isCausal, query i those up to i + Tk - Tq. */
struct CausalMask {
  int64_t Tq;
  int64_t Tk;
  bool isCausal;

  /** Returns the number of keys that a query attends to, which are the first ones. */
  int64_t visibleKeys(int64_t query) const {
    if (!isCausal) return Tk;
    const int64_t keys = query + 1 + Tk - Tq;
    return keys < 0 ? 0 : keys < Tk ? keys : Tk;
  }
};

/** Returns true if rows `first` to `last` - 1 of x have a NaN or infinity, or overflow. */
bool hasNonFinite(HeadRows x, int64_t first, int64_t last, int64_t D) {
  Vec total = 0.0f;
  for (int64_t t = first; t < last; t += 8) { // 8 rows, so that few additions wait for another
    const auto row = [&](int64_t i) { return x[t + i < last ? t + i : last - 1]; };
    const float* const rows[8] = {row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)};
    const auto sum = [&](auto load) {
      return ((load(rows[0]) + load(rows[1])) + (load(rows[2]) + load(rows[3]))) +
             ((load(rows[4]) + load(rows[5])) + (load(rows[6]) + load(rows[7])));
    };
    int64_t d = 0;
    for (; d + Vec::width <= D; d += Vec::width)
      total = total + sum([d](const float* row) { return Vec::load(row + d); });
    if (d < D) total = total + sum([d, D](const float* row) { return Vec::load(row + d, D - d); });
  }
  return !std::isfinite(reduceAdd(total));
}

/**
 * A block of queries against the keys that they attend to. Probabilities and their gradients are 0
 * where a key is hidden from a query. The two products with such a matrix also multiply the zeros,
 * which adds nothing unless the other factor is NaN or infinite: then they leave the zeros out, row
 * by row, with the same bits in the other results.
 */
struct MaskedBlock {
  CausalMask mask;
  int64_t first; // query
  int64_t last;  // the query after the block
  int64_t D;

  /** Returns the number of keys that any query attends to: those of the last one. */
  int64_t keys() const { return mask.visibleKeys(last - 1); }

  /** y = weights x for the block's rows of y. weights [queries, keys], x [Tk, D] */
  void sumOverKeys(const float* weights, int64_t ld, HeadRows x, HeadRows y) const {
    const int64_t rows = last - first;
    if (!hasNonFinite(x, mask.visibleKeys(first), keys(), D))
      return gemmUnpacked({weights, ld}, x.data, x.ld, y[first], y.ld, rows, D, keys(), Init::zero);
    for (int64_t i = first; i < last; i++) {
      const float* row = weights + (i - first) * ld;
      const int64_t visible = mask.visibleKeys(i);
      gemmUnpacked({row, ld}, x.data, x.ld, y[i], y.ld, 1, D, visible, Init::zero);
    }
  }

  /** y += weights^T x for the block's rows of x. weights [queries, keys], y [Tk, D] */
  void addSumOverQueries(const float* weights, int64_t ld, HeadRows x, HeadRows y) const {
    int64_t whole = keys(); // keys that are added at once
    if (whole > mask.visibleKeys(first) && hasNonFinite(x, first, last, D))
      whole = mask.visibleKeys(first);
    addColumns(weights, ld, x, y, 0, whole, first);
    for (int64_t j = whole; j < keys(); j++) {
      int64_t query = first; // the first one that attends to key j
      while (mask.visibleKeys(query) <= j) query++;
      addColumns(weights, ld, x, y, j, j + 1, query);
    }
  }

private:
  /** The same for the keys from `begin` to `end` - 1 and the queries from `query` on. */
  void addColumns(const float* weights, int64_t ld, HeadRows x, HeadRows y, int64_t begin,
                  int64_t end, int64_t query) const {
    const Matrix transposed = {weights + (query - first) * ld + begin, ld, true};
    gemmUnpacked(transposed, x[query], x.ld, y[begin], y.ld, end - begin, D, last - query,
                 Init::accumulate);
  }
};

/** The parameters of one head. */
struct Head {
  CausalMask mask;
  int64_t D;
  const DropoutRng& rng;
  bool hasDropout;
  uint64_t firstElement; // the index of its probability [0, 0], for dropout
  float* lse;            // [Tq]
};

/** Rounds up to whole cache lines. */
inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

/** y_i = sum_j P_ij v_j with P = dropout(softmax(q k^T / sqrt(D))). q, y [Tq, D]; k, v [Tk, D] */
void attendHead(const Head& head, HeadRows q, HeadRows k, HeadRows v, HeadRows y) {
  const int64_t Tq = head.mask.Tq;
  const int64_t Tk = head.mask.Tk;
  const int64_t D = head.D;
  const int64_t ld = padded(Tk);
  float* keys = scratch(0, ld * D);            // k^T, [D, Tk]
  float* scores = scratch(1, BLOCK * ld + ld); // [BLOCK, Tk]
  float* dropoutScale = scores + BLOCK * ld;   // [Tk]
  const Vec scale = (float)(1 / std::sqrt((double)D));
  transposeInto(k.data, k.ld, keys, ld, Tk, D);

  for (int64_t first = 0; first < Tq; first += BLOCK) {
    const int64_t last = first + BLOCK < Tq ? first + BLOCK : Tq;
    const int64_t rows = last - first;
    const MaskedBlock block = {head.mask, first, last, D};
    const int64_t blockKeys = block.keys();
    gemmUnpacked(q.from(first), keys, ld, scores, ld, rows, blockKeys, D, Init::zero);

    float maxima[BLOCK];
    float sums[BLOCK];
    for (int64_t i = first; i < last; i++) {
      const int64_t visible = head.mask.visibleKeys(i);
      float* row = scores + (i - first) * ld;
      Vec top = -INFINITY;
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec s = Vec::load(row + j, lanes) * scale;
        top = max(select(Vec::firstLanes(lanes), s, Vec(-INFINITY)), top);
      });
      maxima[i - first] = visible > 0 ? reduceMax(top) : 0;
      const Vec shift = maxima[i - first];
      Vec total = 0.0f;
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec e = exp(fma(Vec::load(row + j, lanes), scale, -shift));
        e.store(row + j, lanes);
        total = total + select(Vec::firstLanes(lanes), e, Vec(0.0f));
      });
      sums[i - first] = visible > 0 ? reduceAdd(total) : 1;
      if (head.hasDropout)
        dropoutScales(head.rng, dropoutScale, head.firstElement + i * Tk, visible);
      const Vec inverseSum = 1 / sums[i - first];
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec p = Vec::load(row + j, lanes) * inverseSum;
        (head.hasDropout ? p * Vec::load(dropoutScale + j, lanes) : p).store(row + j, lanes);
      });
      for (int64_t j = visible; j < blockKeys; j++) row[j] = 0;
    }
    forEachVector(rows, [&](int64_t i, int64_t lanes) {
      const Vec lse = Vec::load(maxima + i, lanes) + log(Vec::load(sums + i, lanes));
      lse.store(head.lse + first + i, lanes);
    });
    block.sumOverKeys(scores, ld, v, y);
  }
}

/** The inputs of the backward pass of one head: [Tq, D], k and v [Tk, D]. */
struct HeadInputs {
  HeadRows q;
  HeadRows k;
  HeadRows v;
  HeadRows y;
  HeadRows dy;
};

/** The gradients of q, k and v. */
struct HeadGradients {
  HeadRows dq;
  HeadRows dk;
  HeadRows dv;
};

/**
 * With the dropout factors f_ij, the probabilities P_ij and S = q k^T / sqrt(D):
 *
 *   dv_j = sum_i P_ij f_ij dy_i                     dP_ij = f_ij dy_i . v_j
 *   dS_ij = P_ij (dP_ij - dy_i . y_i)
 *   dq_i = sum_j dS_ij k_j / sqrt(D)                dk_j = sum_i dS_ij q_i / sqrt(D)
 */
void attendHeadBackward(const Head& head, const HeadInputs& inputs, const HeadGradients& grads) {
  const auto& [q, k, v, y, dy] = inputs;
  const auto& [dq, dk, dv] = grads;
  const int64_t Tq = head.mask.Tq;
  const int64_t Tk = head.mask.Tk;
  const int64_t D = head.D;
  const int64_t ld = padded(Tk);
  float* keys = scratch(0, 2 * ld * D);             // k^T, [D, Tk]
  float* values = keys + ld * D;                    // v^T, [D, Tk]
  float* weights = scratch(1, 2 * BLOCK * ld + ld); // the scores, then P f; [BLOCK, Tk]
  float* dScores = weights + BLOCK * ld;            // dy v^T, then dS / sqrt(D); [BLOCK, Tk]
  float* dropoutScale = dScores + BLOCK * ld;       // [Tk]
  const Vec scale = (float)(1 / std::sqrt((double)D));
  transposeInto(k.data, k.ld, keys, ld, Tk, D);
  transposeInto(v.data, v.ld, values, ld, Tk, D);
  for (int64_t j = 0; j < Tk; j++) {
    std::memset(dk[j], 0, (size_t)D * sizeof(float));
    std::memset(dv[j], 0, (size_t)D * sizeof(float));
  }

  for (int64_t first = 0; first < Tq; first += BLOCK) {
    const int64_t last = first + BLOCK < Tq ? first + BLOCK : Tq;
    const int64_t rows = last - first;
    const MaskedBlock block = {head.mask, first, last, D};
    const int64_t blockKeys = block.keys();
    gemmUnpacked(q.from(first), keys, ld, weights, ld, rows, blockKeys, D, Init::zero);
    gemmUnpacked(dy.from(first), values, ld, dScores, ld, rows, blockKeys, D, Init::zero);

    for (int64_t i = first; i < last; i++) {
      const int64_t visible = head.mask.visibleKeys(i);
      float* weight = weights + (i - first) * ld;
      float* dScore = dScores + (i - first) * ld;
      const float* dyi = dy[i];
      const float* yi = y[i];
      Vec dot = 0.0f;
      forEachVector(D, [&](int64_t d, int64_t lanes) {
        dot = fma(Vec::load(dyi + d, lanes), Vec::load(yi + d, lanes), dot);
      });
      const Vec delta = reduceAdd(dot);
      const Vec lse = head.lse[i];
      const bool hasDropout = head.hasDropout;
      if (hasDropout) dropoutScales(head.rng, dropoutScale, head.firstElement + i * Tk, visible);
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec p = exp(fma(Vec::load(weight + j, lanes), scale, -lse));
        const Vec factor = hasDropout ? Vec::load(dropoutScale + j, lanes) : Vec(1.0f);
        const Vec dP = Vec::load(dScore + j, lanes) * factor;
        (p * (dP - delta) * scale).store(dScore + j, lanes);
        (p * factor).store(weight + j, lanes);
      });
      for (int64_t j = visible; j < blockKeys; j++) {
        weight[j] = 0;
        dScore[j] = 0;
      }
    }
    block.addSumOverQueries(weights, ld, dy, dv);
    block.addSumOverQueries(dScores, ld, q, dk);
    block.sumOverKeys(dScores, ld, k, dq);
  }
}

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
  forEachHead(heads, Tq, Tk, D, [&](int64_t h) {
    const int64_t query = h * Tq * D;
    const int64_t key = h * Tk * D;
    const uint64_t firstElement = h * Tq * Tk;
    const Head head = {{Tq, Tk, causal}, D, rng, p > 0, firstElement, lse + h * Tq};
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
  forEachHead(heads, Tq, Tk, D, [&](int64_t h) {
    const int64_t query = h * Tq * D;
    const int64_t key = h * Tk * D;
    const uint64_t firstElement = h * Tq * Tk;
    float* headLse = const_cast<float*>(lse) + h * Tq;
    const Head head = {{Tq, Tk, causal}, D, rng, p > 0, firstElement, headLse};
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
  forEachHead(B * H, T, T, D, [&](int64_t bh) {
    const uint64_t firstElement = bh * T * T;
    const Head head = {{T, T, causal}, D, rng, p > 0, firstElement, lse + bh * T};
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
  forEachHead(B * H, T, T, D, [&](int64_t bh) {
    const uint64_t firstElement = bh * T * T;
    float* headLse = const_cast<float*>(lse) + bh * T;
    const Head head = {{T, T, causal}, D, rng, p > 0, firstElement, headLse};
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
  forEachHead(B * H, T, Tk, D, [&](int64_t bh) {
    const float* keys = cache + bh / H * capacity * 2 * C + bh % H * D;
    const Head head = {{T, Tk, true}, D, rng, false, 0, scratch(2, T)};
    attendHead(head,
               projectionRows(qkv, bh, T, H, D, 3, 0),
               headRows(keys, 2 * C),
               headRows(keys + C, 2 * C),
               projectionRows(y, bh, T, H, D, 1, 0));
  });
}

} // namespace tinybard::SIMD
