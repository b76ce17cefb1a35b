// Attention as launchers ask for it: where the rows of heads lie, and what each query sees.
#pragma once

#include "../device.cuh"

namespace tinybard::cuda {

constexpr float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;

/** The rows of one head: row t is data[t step ... t step + D - 1], t < count. */
template <class F>
struct Rows {
  F* data;
  int64_t step;
  int count, D;
  bool packed; // whether every row consists of whole packs
};

/** The rows of all heads: those of head h of sequence b begin at data + b sequence + h D. */
template <class F>
struct Heads {
  F* data;
  int64_t sequence, step;
};

/** One of the parts that lie side by side in [sequences, T, parts, H, D], as heads. */
template <class F>
Heads<F> partOf(F* data, int part, int parts, int64_t T, int64_t H, int64_t D) {
  return {data + part * H * D, T * parts * H * D, parts * H * D};
}

/** How many keys the queries of a head see. */
struct Sight {
  int Tq, Tk;
  bool causal;

  // ::, for there is a kernel max
  __device__ int seen(int query) const {
    return causal ? ::max(0, ::min(Tk, query + 1 + Tk - Tq)) : Tk;
  }
};

/** What heads attend over. */
template <class F>
struct Attention {
  Heads<const F> q, k, v;
  int heads, H; // of all sequences together, of one sequence
  int Tq, Tk, D;
  bool causal, packed;
  const i32* rngState; // of dropout, as the contract's `dropout` has them
  uint32_t site, threshold;
  /**
   * Null, or how many keys come before the first query's own. Then there are *past + Tq keys, and
   * Tk is how many there may be: if there were more, nothing is to be done.
   */
  const i32* past;

  template <class T>
  __device__ Rows<T> rowsOf(const Heads<T>& x, int head, int count) const {
    return {x.data + head / H * x.sequence + head % H * D, x.step, count, D, packed};
  }

  __device__ bool isPossible() const { return !past || (*past >= 0 && *past <= Tk - Tq); }
  __device__ Sight sight() const { return {Tq, past ? *past + Tq : Tk, causal}; }
  /** What dropout multiplies by what it keeps; it keeps nothing if all 16 bits are below. */
  __device__ float keptScale() const {
    return threshold < 65536 ? 65536.0f / (65536.0f - threshold) : 0.0f;
  }
};

template <class F>
struct Forward : Attention<F> {
  Heads<F> y;
  f32* lse; // [heads, Tq], or null
};

template <class F>
struct Backward : Attention<F> {
  Heads<const F> y, dy;
  const f32* lse;
  Heads<F> dq, dk, dv;
};

/** One token for each of B sequences: k and v are the cache, of Tk tokens; Tq is 1. */
template <class F>
struct Cached : Forward<F> {
  Heads<const F> newK, newV;
  Heads<F> cacheK, cacheV; // where they go: k and v
  IndexError* indexError;
};

constexpr int MOST_D = 128; // of the kernels for heads of ordinary size

/** By tensor cores; D is at most MOST_D. */
void flashForward(const Forward<bf16>& problem);
void flashBackward(const Backward<bf16>& problem);

/** By ordinary arithmetic; any D. */
template <class F>
void plainForward(const Forward<F>& problem);
template <class F>
void plainBackward(const Backward<F>& problem);

/** Puts the token into the cache and attends over it; D is at most MOST_D. */
template <class F>
void attendOne(const Cached<F>& problem);
/** Only copies the keys and values of qkv [B, T, 3 C] into the cache [B, capacity, 2 C]. */
template <class F>
void append(const F* qkv, F* cache, const i32* past, int64_t B, int64_t T, int64_t C,
            int64_t capacity);

} // namespace tinybard::cuda
