// Attention of one head, forward and backward, on the calling thread.
#pragma once

#include "format.h"
#include "random.h"

namespace tinybard::SIMD {

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

  /** Returns the first query that attends to a key. */
  int64_t firstQuery(int64_t key) const {
    const int64_t query = key + Tq - Tk;
    return isCausal && query > 0 ? query : 0;
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
  Format format;         // of the operands of its products
};

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

/** y_i = sum_j P_ij v_j with P = dropout(softmax(q k^T / sqrt(D))). q, y [Tq, D]; k, v [Tk, D] */
void attendHead(const Head& head, HeadRows q, HeadRows k, HeadRows v, HeadRows y);

/** The gradients of attendHead(), from its result y and lse. */
void attendHeadBackward(const Head& head, const HeadInputs& inputs, const HeadGradients& grads);

} // namespace tinybard::SIMD
