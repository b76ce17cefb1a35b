// Attention for the launchers of the CUDA backend: where the rows of each head are in memory, which
// keys each query may attend to, and the kernels to choose from.
#pragma once

#include "../device.cuh"

namespace tinybard::cuda {

constexpr float LOG2E = 1.4426950408889634f;
constexpr float LN2 = 0.6931471805599453f;

/** The rows of one head: row t, for t < count, is the D elements from data[t * stride] on. */
template <class F>
struct HeadRows {
  F* data;
  int64_t stride;
  int count, D;
  bool isAligned; // every row consists of whole, aligned 16-byte packs
};

/** The rows of all heads: those of head h of sequence b start at data + b sequenceStride + h D. */
template <class F>
struct Heads {
  F* data;
  int64_t sequenceStride, rowStride;
};

/** Views one part of a tensor [sequences, T, parts, H, D], such as q in qkv, as heads. */
template <class F>
Heads<F> viewHeads(F* data, int part, int parts, int64_t T, int64_t H, int64_t D) {
  return {data + part * H * D, T * parts * H * D, parts * H * D};
}

/** The keys that each query attends to: all, or if causal, key j <= query + Tk - Tq. */
struct CausalMask {
  int Tq, Tk;
  bool causal;

  /** Returns the number of keys that a query attends to, which are the first ones. */
  __device__ int visibleKeys(int query) const {
    // the global functions: this namespace has a kernel max
    return causal ? ::max(0, ::min(Tk, query + 1 + Tk - Tq)) : Tk;
  }
  /** Returns true if there is such a query and it attends to the key. */
  __device__ bool isVisible(int query, int key) const {
    return query < Tq && key < visibleKeys(query);
  }
};

/** The inputs of attention. */
template <class F>
struct Attention {
  Heads<const F> q, k, v;
  int headCount; // heads of all sequences
  int H;         // heads of one sequence
  int Tq, Tk, D; // queries, keys, and elements of a head
  bool causal, isAligned;
  // Dropout, as the kernel interface defines it; threshold is DropoutRng::toThreshold(p)
  const i32* rngState;
  uint32_t site, threshold;
  /**
   * Null, or on the device the number of keys before the first query's own. Then there are
   * *past + Tq keys, and Tk is the capacity; if there are more keys, kernels do nothing.
   */
  const i32* past;

  /** Views the first `count` rows of a head. */
  template <class T>
  __device__ HeadRows<T> headRows(const Heads<T>& x, int head, int count) const {
    return {x.data + head / H * x.sequenceStride + head % H * D, x.rowStride, count, D, isAligned};
  }

  /** Returns true if all keys fit into the capacity. */
  __device__ bool fitsCapacity() const { return !past || (*past >= 0 && *past <= Tk - Tq); }
  __device__ CausalMask mask() const { return {Tq, past ? *past + Tq : Tk, causal}; }
  /** Returns the factor for the probabilities that dropout keeps; 0 if it keeps none. */
  __device__ float dropoutScale() const {
    return threshold < 65536 ? 65536.0f / (65536.0f - threshold) : 0.0f;
  }
};

/** y = dropout(softmax(q k^T / sqrt(D))) v for each head. */
template <class F>
struct AttentionForward : Attention<F> {
  Heads<F> y;
  f32* lse; // [headCount, Tq]: receives log(sum(e^score)) of each query, unless null
};

/** The gradients of AttentionForward, from its result, its lse and dy. */
template <class F>
struct AttentionBackward : Attention<F> {
  Heads<const F> y, dy;
  const f32* lse;
  Heads<F> dq, dk, dv;
};

/**
 * One decoding step: one new token per sequence (Tq = 1) attends to the cache and to itself. k and
 * v are the cache, of capacity Tk; the token's own key and value are added to it.
 */
template <class F>
struct AttentionDecode : AttentionForward<F> {
  Heads<const F> newK, newV;
  Heads<F> cacheK, cacheV; // the same memory as k and v
  IndexError* indexError;
};

constexpr int MAX_HEAD_DIM = 128; // of flashForward(), flashBackward() and decodeAttention()

/** FlashAttention on tensor cores; D <= MAX_HEAD_DIM. */
void flashForward(const AttentionForward<bf16>& problem);
void flashBackward(const AttentionBackward<bf16>& problem);

/** Attention on the ordinary (SIMT) cores in f32 arithmetic; any D. */
template <class F>
void simtForward(const AttentionForward<F>& problem);
template <class F>
void simtBackward(const AttentionBackward<F>& problem);

/** Appends the new token to the cache and attends over it; D <= MAX_HEAD_DIM. */
template <class F>
void decodeAttention(const AttentionDecode<F>& problem);
/** Copies the keys and values of qkv [B, T, 3 C] to position *past of cache [B, capacity, 2 C]. */
template <class F>
void appendToCache(const F* qkv, F* cache, const i32* past, int64_t B, int64_t T, int64_t C,
                   int64_t capacity);

} // namespace tinybard::cuda
