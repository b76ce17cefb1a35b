// Attention of one head. Queries are processed in blocks, whose scores against all keys fit in the
// cache; the [Tq, Tk] matrix of a head is never stored. The forward pass saves the log-sum-exp
// (lse) of each row of scores, and the backward pass recomputes the probabilities from it
// (FlashAttention, Dao et al., 2022). With a causal mask, keys that no query of a block attends to
// are skipped, and a query never depends on a later key, not even if that key is NaN.
//
// In bf16, each operand of a product is rounded when it is packed: q, k, v and dy, the
// probabilities, and the gradients of the scores. Softmax and its derivative are in f32.

#include "attention_head.h"

#include "parallel.h"
#include "vecmath.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t BLOCK = 32; // queries

/** Rounds up to whole cache lines. */
inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

// A row of scores, [Tk], has room for whole vectors. So its last one is also read and written as a
// whole, without a mask, and what follows the visible keys is ignored and then set to 0.

/** Stores x with 0 in all but the first `lanes` lanes. */
inline void storeVisible(Vec x, float* p, int64_t lanes) {
  select(Vec::firstLanes(lanes), x, Vec(0.0f)).store(p);
}

/** Sets a row to 0 from `visible` to keys - 1, after the vector that storeVisible() has stored. */
inline void hideKeys(float* row, int64_t visible, int64_t keys) {
  for (int64_t j = (visible + Vec::width - 1) / Vec::width * Vec::width; j < keys; j += Vec::width)
    Vec(0.0f).store(row + j);
}

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

/** The products of a head, with the memory in which bf16 operands are packed. */
class Products {
 public:
  Products(const Head& head) : format(head.format), D(head.D) {
    if (!format.isBf16()) return;
    const int64_t Tk = head.mask.Tk;
    const int64_t T = Tk > BLOCK ? Tk : BLOCK;
    const int64_t leftFloats = padded(BLOCK * format.steps(D > Tk ? D : Tk));
    const int64_t rightFloats = padded((T + 1) * (D + 1) / 2);
    left = scratch(3, leftFloats + rightFloats + BLOCK * D);
    right = left + leftFloats;
    copy = right + rightFloats;
  }

  /** to [steps(D), T] = x^T as a right operand. x [T, D] */
  void transpose(HeadRows x, int64_t T, float* to, int64_t ldTo) const {
    format.packTransposed(x.data, x.ld, T, D, to, ldTo, right);
  }

  /** Returns x [T, D] as a right operand; in bf16 at `to`, [steps(T), D]. */
  Matrix pack(HeadRows x, int64_t T, float* to) const {
    return format.packRight(x.from(0), T, D, D, to);
  }

  /** c [M, N] = init + a b, of which b is a right operand. a [M, K]; extents as multiplyTiles()
   *  takes them. */
  template <class F>
  void multiply(Matrix a, Matrix b, int64_t K, float* c, int64_t ldc, int64_t M, int64_t N,
                Init init, const F& extentOf) const {
    const Matrix packed = format.packLeft(a, M, K, left);
    multiplyTiles(format, packed, b.data, b.ld, c, ldc, M, N, init, nullptr, extentOf);
  }

  /** The same for b = x [K, D]. */
  template <class F>
  void multiplyRows(Matrix a, HeadRows x, int64_t K, float* c, int64_t ldc, int64_t M, Init init,
                    const F& extentOf) const {
    multiply(a, pack(x, K, right), K, c, ldc, M, D, init, extentOf);
  }

  /** Returns a copy of x [rows, D] with zeros in the first `hidden` rows. rows <= BLOCK */
  HeadRows hideRows(HeadRows x, int64_t rows, int64_t hidden) const {
    std::memset(copy, 0, (size_t)(hidden * D) * sizeof(float));
    for (int64_t i = hidden; i < rows; i++)
      std::memcpy(copy + i * D, x[i], (size_t)D * sizeof(float));
    return {copy, D};
  }

  const Format format;

 private:
  const int64_t D;
  float* left = nullptr;  // a left operand: queries, probabilities, or their transpose
  float* right = nullptr; // a right operand: rows of queries, or of keys before they are transposed
  float* copy = nullptr;  // [BLOCK, D]
};

/**
 * A block of queries against the keys that they attend to. Probabilities and their gradients are 0
 * where a key is hidden from a query. The two products with such a matrix leave out most of the
 * zeros, but not those within a tile, which add nothing unless the other factor is NaN or infinite:
 * then they leave all zeros out, row by row, with the same bits in the other results.
 */
struct MaskedBlock {
  const Products& products;
  CausalMask mask;
  int64_t first; // query
  int64_t last;  // the query after the block
  int64_t D;

  /** Returns the number of keys that any query attends to: those of the last one. */
  int64_t keys() const { return mask.visibleKeys(last - 1); }

  /** scores [queries, keys] = x keysT for the block's rows of x [Tq, D] and their visible keys.
   *  keysT [D, Tk] is a right operand. */
  void computeScores(HeadRows x, const float* keysT, float* scores, int64_t ld) const {
    const auto visible = [=](int64_t, int64_t end) {
      return Extent{0, D, mask.visibleKeys(first + end - 1)};
    };
    products.multiply(x.from(first), {keysT, ld}, D, scores, ld, last - first, keys(), Init::zero,
                      visible);
  }

  /** y = weights x for the block's rows of y. weights [queries, keys], x [Tk, D]; `packed` is x as
   *  a right operand. */
  void sumOverKeys(const float* weights, int64_t ld, HeadRows x, Matrix packed, HeadRows y) const {
    int64_t read = keys();
    if (products.format.isBf16() && read % 2 == 1 && read < mask.Tk) read++; // in the last pair
    if (!hasNonFinite(x, mask.visibleKeys(first), read, D)) {
      const auto visible = [=](int64_t, int64_t end) {
        return Extent{0, mask.visibleKeys(first + end - 1), D};
      };
      products.multiply({weights, ld}, packed, keys(), y[first], y.ld, last - first, D, Init::zero,
                        visible);
      return;
    }
    for (int64_t i = first; i < last; i++) {
      const float* row = weights + (i - first) * ld;
      const int64_t visible = mask.visibleKeys(i);
      const auto all = [=](int64_t, int64_t) { return Extent{0, visible, D}; };
      products.multiplyRows({row, ld}, x, visible, y[i], y.ld, 1, Init::zero, all);
    }
  }

  /** y += weights^T x for the block's rows of x. weights [queries, keys], y [Tk, D] */
  void addSumOverQueries(const float* weights, int64_t ld, HeadRows x, HeadRows y) const {
    int64_t whole = keys(); // keys that are added at once
    if (whole > mask.visibleKeys(first) && hasNonFinite(x, first, last, D))
      whole = mask.visibleKeys(first);
    addColumns(weights, ld, x, y, 0, whole, first);
    for (int64_t j = whole; j < keys(); j++) {
      const int64_t query = mask.firstQuery(j);
      addColumns(weights, ld, x, y, j, j + 1, query > first ? query : first);
    }
  }

 private:
  /** The same for the keys from `begin` to `end` - 1 and the queries from `query` on. */
  void addColumns(const float* weights, int64_t ld, HeadRows x, HeadRows y, int64_t begin,
                  int64_t end, int64_t query) const {
    HeadRows rows = {x[query], x.ld};
    if (products.format.isBf16() && query > first) { // the same pairs as for the other keys
      rows = products.hideRows({x[first], x.ld}, last - first, query - first);
      query = first;
    }
    const Matrix transposed = {weights + (query - first) * ld + begin, ld, true};
    const int64_t count = last - query;
    const auto attending = [=](int64_t m, int64_t) {
      const int64_t hidden = mask.firstQuery(begin + m) - query;
      return Extent{hidden > 0 ? hidden : 0, count, D};
    };
    products.multiplyRows(transposed, rows, count, y[begin], y.ld, end - begin, Init::accumulate,
                          attending);
  }
};

} // namespace

void attendHead(const Head& head, HeadRows q, HeadRows k, HeadRows v, HeadRows y) {
  const int64_t Tq = head.mask.Tq;
  const int64_t Tk = head.mask.Tk;
  const int64_t D = head.D;
  const int64_t ld = padded(Tk);
  const int64_t steps = head.format.steps(D);
  const int64_t pairs = head.format.isBf16() ? padded(head.format.steps(Tk) * D) : 0;
  float* keys = scratch(0, ld * steps + pairs); // k^T, [D, Tk]
  float* scores = scratch(1, BLOCK * ld + ld);  // [BLOCK, Tk]
  float* dropoutScale = scores + BLOCK * ld;    // [Tk]
  const Vec scale = (float)(1 / std::sqrt((double)D));
  const Products products(head);
  products.transpose(k, Tk, keys, ld);
  const Matrix values = products.pack(v, Tk, keys + ld * steps);

  for (int64_t first = 0; first < Tq; first += BLOCK) {
    const int64_t last = first + BLOCK < Tq ? first + BLOCK : Tq;
    const MaskedBlock block = {products, head.mask, first, last, D};
    const int64_t blockKeys = block.keys();
    block.computeScores(q, keys, scores, ld);

    float maxima[BLOCK];
    float sums[BLOCK];
    for (int64_t i = first; i < last; i++) {
      const int64_t visible = head.mask.visibleKeys(i);
      float* row = scores + (i - first) * ld;
      Vec top = -INFINITY;
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec s = Vec::load(row + j) * scale;
        top = max(select(Vec::firstLanes(lanes), s, Vec(-INFINITY)), top);
      });
      maxima[i - first] = visible > 0 ? reduceMax(top) : 0;
      const Vec shift = maxima[i - first];
      Vec total = 0.0f;
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec e = exp(fma(Vec::load(row + j), scale, -shift));
        e.store(row + j);
        total = total + select(Vec::firstLanes(lanes), e, Vec(0.0f));
      });
      sums[i - first] = visible > 0 ? reduceAdd(total) : 1;
      if (head.hasDropout)
        dropoutScales(head.rng, dropoutScale, head.firstElement + i * Tk, visible);
      const Vec inverseSum = 1 / sums[i - first];
      forEachVector(visible, [&](int64_t j, int64_t lanes) {
        const Vec p = Vec::load(row + j) * inverseSum;
        storeVisible(head.hasDropout ? p * Vec::load(dropoutScale + j) : p, row + j, lanes);
      });
      hideKeys(row, visible, blockKeys);
    }
    forEachVector(last - first, [&](int64_t i, int64_t lanes) {
      const Vec lse = Vec::load(maxima + i, lanes) + log(Vec::load(sums + i, lanes));
      lse.store(head.lse + first + i, lanes);
    });
    block.sumOverKeys(scores, ld, v, values, y);
  }
}

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
  const int64_t steps = head.format.steps(D);
  const int64_t pairs = head.format.isBf16() ? padded(head.format.steps(Tk) * D) : 0;
  float* keys = scratch(0, 2 * ld * steps + pairs); // k^T, [D, Tk]
  float* values = keys + ld * steps;                // v^T, [D, Tk]
  float* weights = scratch(1, 2 * BLOCK * ld + ld); // the scores, then P f; [BLOCK, Tk]
  float* dScores = weights + BLOCK * ld;            // dy v^T, then dS / sqrt(D); [BLOCK, Tk]
  float* dropoutScale = dScores + BLOCK * ld;       // [Tk]
  const Vec scale = (float)(1 / std::sqrt((double)D));
  const Products products(head);
  products.transpose(k, Tk, keys, ld);
  products.transpose(v, Tk, values, ld);
  const Matrix keyRows = products.pack(k, Tk, values + ld * steps);
  for (int64_t j = 0; j < Tk; j++) {
    std::memset(dk[j], 0, (size_t)D * sizeof(float));
    std::memset(dv[j], 0, (size_t)D * sizeof(float));
  }

  for (int64_t first = 0; first < Tq; first += BLOCK) {
    const int64_t last = first + BLOCK < Tq ? first + BLOCK : Tq;
    const MaskedBlock block = {products, head.mask, first, last, D};
    const int64_t blockKeys = block.keys();
    block.computeScores(q, keys, weights, ld);
    block.computeScores(dy, values, dScores, ld);

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
        const Vec p = exp(fma(Vec::load(weight + j), scale, -lse));
        const Vec factor = hasDropout ? Vec::load(dropoutScale + j) : Vec(1.0f);
        const Vec dP = Vec::load(dScore + j) * factor;
        storeVisible(p * (dP - delta) * scale, dScore + j, lanes);
        storeVisible(p * factor, weight + j, lanes);
      });
      hideKeys(weight, visible, blockKeys);
      hideKeys(dScore, visible, blockKeys);
    }
    block.addSumOverQueries(weights, ld, dy, dv);
    block.addSumOverQueries(dScores, ld, q, dk);
    block.sumOverKeys(dScores, ld, k, keyRows, dq);
  }
}

} // namespace tinybard::SIMD
