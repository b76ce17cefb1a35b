// Data movement: conversions, and kernels that only move elements. Most of the latter are one loop
// over an index map, 16 bytes at a time if the rows are aligned.

#include <type_traits>

#include "block.cuh"
#include "embedding.cuh"
#include "kernels.h"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

// ---- conversions

/** Converts as JavaScript stores into typed arrays: to i32 modulo 2^32, and NaN to 0. */
template <class To, class From>
__device__ inline To convertTo(From x) {
  if constexpr (std::is_same_v<To, From>) return x;
  else if constexpr (std::is_same_v<From, i32>) return roundTo<To>((float)x);
  else if constexpr (std::is_same_v<To, i32>) {
    const float y = toFloat(x); // from 2^63 on, floats are multiples of 2^40: 0 modulo 2^32
    return fabsf(y) < 9.2e18f ? (i32)(uint32_t)(int64_t)y : 0;
  } else return roundTo<To>(toFloat(x));
}

/** y_i = x_i, converted. x, y [n]. Grid-stride loop over vectors of W elements. */
template <int W, class To, class From>
__global__ void convert(const From* x, To* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    const Vector<From, W> from = load<W>(x + i * W);
    Vector<To, W> to;
    for (int k = 0; k < W; k++) to.at[k] = convertTo<To>(from.at[k]);
    store(y + i * W, to);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = convertTo<To>(x[i]);
}

/** y_i = value. y [n]. Grid-stride loop over vectors of W elements. */
template <int W, class To, class From>
__global__ void fillWith(To* y, From value, int64_t n) {
  Vector<To, W> to;
  for (int k = 0; k < W; k++) to.at[k] = convertTo<To>(value);
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) store(y + i * W, to);
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = to.at[0];
}

template <class To, class From>
void launchConvert(To* y, const From* x, int64_t n) {
  if (canVectorize<To>(0, x, y))
    launch(convert<8, To, From>, gridStrideBlocks(ceilDiv(n, 8)), BLOCK_SIZE, 0, x, y, n);
  else launch(convert<1, To, From>, gridStrideBlocks(n), BLOCK_SIZE, 0, x, y, n);
}

template <class To>
void launchConvert(To* y, const any* x, int64_t n) {
  if (x->type == Type::f32) launchConvert(y, static_cast<const f32*>(x->data), n);
  else if (x->type == Type::i32) launchConvert(y, static_cast<const i32*>(x->data), n);
  else launchConvert(y, static_cast<const bf16*>(x->data), n);
}

template <class To, class From>
void launchFill(To* y, From value, int64_t n) {
  if (canVectorize<To>(0, y))
    launch(fillWith<8, To, From>, gridStrideBlocks(ceilDiv(n, 8)), BLOCK_SIZE, 0, y, value, n);
  else launch(fillWith<1, To, From>, gridStrideBlocks(n), BLOCK_SIZE, 0, y, value, n);
}

// ---- index maps: move i copies element source(i) of x to element target(i) of y

/** [outer, p, q, inner] to [outer, q, p, inner] */
struct Transpose {
  int64_t p, q, inner;
  __device__ int64_t source(int64_t i) const {
    const int64_t row = i / inner;
    const int64_t a = row % p;
    const int64_t b = row / p % q;
    const int64_t o = row / p / q;
    return ((o * p + a) * q + b) * inner + i % inner;
  }
  __device__ int64_t target(int64_t i) const { return i; }
};

/** [outer, inner] to [outer, n, inner] */
struct Expand {
  int64_t n, inner;
  __device__ int64_t source(int64_t i) const { return i / (n * inner) * inner + i % inner; }
  __device__ int64_t target(int64_t i) const { return i; }
};

/** [outer, whole] to [outer, part], the part from `start` on; with isUpdate in reverse. */
template <bool isUpdate>
struct Slice {
  int64_t part, whole, start;
  __device__ int64_t inWhole(int64_t i) const { return i / part * whole + start + i % part; }
  __device__ int64_t source(int64_t i) const { return isUpdate ? i : inWhole(i); }
  __device__ int64_t target(int64_t i) const { return isUpdate ? inWhole(i) : i; }
};

/** [V, C] to [rows, C]: row r is row idx[r]. */
struct Gather {
  const i32* idx;
  int64_t V, C;
  IndexError* indexError;
  __device__ int64_t source(int64_t i) const {
    const int64_t r = i / C;
    return checkIndex(idx[r], V, IndexSource::embedding, r, indexError) * C + i % C;
  }
  __device__ int64_t target(int64_t i) const { return i; }
};

/** y[map.target(i)] = x[map.source(i)] for i < n. Grid-stride loop. */
template <class Unit, class Map>
__global__ void move(const Unit* x, Unit* y, int64_t n, Map map) {
  for (int64_t i = globalThreadIndex(); i < n; i += globalThreadCount())
    y[map.target(i)] = x[map.source(i)];
}

/**
 * Launches move for n elements. `lengths` are the map's fields that count contiguous elements: if
 * all are multiples of a pack, they are divided, and packs are moved instead of elements.
 */
template <class W, class Map, class... Lengths>
void launchMove(Map map, const W* x, W* y, int64_t n, Lengths Map::*... lengths) {
  constexpr int size = Pack<W>::size;
  if (canVectorize<W>((n | ... | (map.*lengths)), x, y)) {
    ((map.*lengths /= size), ...);
    launch(move<Pack<W>, Map>, gridStrideBlocks(n / size), BLOCK_SIZE, 0,
           reinterpret_cast<const Pack<W>*>(x), reinterpret_cast<Pack<W>*>(y), n / size, map);
  } else {
    launch(move<W, Map>, gridStrideBlocks(n), BLOCK_SIZE, 0, x, y, n, map);
  }
}

/**
 * Transposes x [outer, p, q] to y [outer, q, p]. A block has a tile [WARP, WARP], which it reads
 * and writes along rows. Blocks are ordered (outer, tilesP, tilesQ).
 */
template <class W>
__global__ void transposeTiles(const W* x, W* y, int64_t p, int64_t q, int64_t tilesP,
                               int64_t tilesQ) {
  SHARED(W, tile, [WARP][WARP + 1]); // padded against bank conflicts
  const int64_t o = blockIdx.x / (tilesP * tilesQ);
  const int64_t a = blockIdx.x / tilesQ % tilesP * WARP;
  const int64_t b = blockIdx.x % tilesQ * WARP;
  for (int i = warp(); i < WARP; i += BLOCK_SIZE / WARP)
    if (a + i < p && b + lane() < q) tile[i][lane()] = x[(o * p + a + i) * q + b + lane()];
  __syncthreads();
  for (int i = warp(); i < WARP; i += BLOCK_SIZE / WARP)
    if (b + i < q && a + lane() < p) y[(o * q + b + i) * p + a + lane()] = tile[lane()][i];
}

/** Returns true if elements start to start + count - 1 are within n; otherwise sets an error. */
bool isInRange(const char* kernel, int64_t start, int64_t count, int64_t n) {
  if (start + count <= n) return true;
  kernelError("%s: start %lld and count %lld, expected at most %lld together", kernel,
              (long long)start, (long long)count, (long long)n);
  return false;
}

template <class W, bool isUpdate>
void launchSlice(const W* x, W* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
                 int64_t count) {
  using Map = Slice<isUpdate>;
  const Map map = {count * inner, n * inner, start * inner};
  launchMove<W, Map>(map, x, y, outer * count * inner, &Map::part, &Map::whole, &Map::start);
}

/** Reports indices into an empty table as an error and returns true. */
bool isEmptyTable(const char* kernel, int64_t rows, int64_t V) {
  if (rows > 0 && V == 0) kernelError("%s: V is 0, expected at least 1", kernel);
  return rows > 0 && V == 0;
}

} // namespace

void copy(const any* x, any* y, int64_t n) {
  if (y->type == Type::f32) launchConvert(static_cast<f32*>(y->data), x, n);
  else if (y->type == Type::i32) launchConvert(static_cast<i32*>(y->data), x, n);
  else launchConvert(static_cast<bf16*>(y->data), x, n);
}

void fill(any* y, double value, int64_t n) {
  if (y->type == Type::f32) launchFill(static_cast<f32*>(y->data), (float)value, n);
  else if (y->type == Type::i32) launchFill(static_cast<i32*>(y->data), toInt32(value), n);
  else launchFill(static_cast<bf16*>(y->data), (float)value, n);
}

template <class W>
void transpose(const W* x, W* y, int64_t outer, int64_t p, int64_t q, int64_t inner) {
  if (inner == 1 && p >= WARP / 2 && q >= WARP / 2) {
    const int64_t tilesP = ceilDiv(p, WARP);
    const int64_t tilesQ = ceilDiv(q, WARP);
    const Dim grid((unsigned)(outer * tilesP * tilesQ));
    launch(transposeTiles<W>, grid, BLOCK_SIZE, 0, x, y, p, q, tilesP, tilesQ);
  } else {
    launchMove<W>(Transpose{p, q, inner}, x, y, outer * p * q * inner, &Transpose::inner);
  }
}
FOR_WORDS(transpose)

template <class W>
void expand(const W* x, W* y, int64_t outer, int64_t n, int64_t inner) {
  launchMove<W>(Expand{n, inner}, x, y, outer * n * inner, &Expand::inner);
}
FOR_WORDS(expand)

template <class W>
void slice(const W* x, W* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
           int64_t count) {
  if (isInRange("slice", start, count, n))
    launchSlice<W, false>(x, y, outer, n, inner, start, count);
}
FOR_WORDS(slice)

template <class W>
void sliceUpdate(const W* x, W* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
                 int64_t count) {
  if (isInRange("sliceUpdate", start, count, n))
    launchSlice<W, true>(x, y, outer, n, inner, start, count);
}
FOR_WORDS(sliceUpdate)

template <class F>
void embedding(const i32* idx, const F* w, F* y, int64_t rows, int64_t V, int64_t C) {
  if (!isEmptyTable("embedding", rows, V))
    launchMove<F>(Gather{idx, V, C, deviceIndexError()}, w, y, rows * C, &Gather::C);
}
FOR_FLOATS(embedding)

template <class F>
void embeddingBackward(const i32* idx, const F* dy, f32* dw, int64_t rows, int64_t V, int64_t C) {
  if (isEmptyTable("embeddingBackward", rows, V)) return;
  // about 256 sets of a multiple of 8 classes; with fewer sets, the rows are split into chunks too
  const int64_t eights = ceilDiv(ceilDiv(V, 8), 256);
  const int64_t classesPerBlock =
      eights < MAX_BLOCK_CLASSES / 8 ? 8 * eights : (int64_t)MAX_BLOCK_CLASSES;
  const int64_t sets = ceilDiv(V, classesPerBlock);
  const int64_t maxChunks = ceilDiv(rows, BLOCK_SIZE);
  const int64_t preferred = sets == 0 || sets > 512 ? 1 : 512 / sets;
  const int64_t chunks = maxChunks == 0 ? 1 : preferred < maxChunks ? preferred : maxChunks;
  f32* partials = nullptr;
  if (chunks > 1) partials = static_cast<f32*>(workspace(chunks * V * C * sizeof(f32)));
  constexpr int W = Pack<F>::size;
  const auto kernel = canVectorize<F>(C, dy, dw) ? sumByClass<W, F> : sumByClass<1, F>;
  unsigned* arrivals = counters(sets * partialCounters(chunks));
  launch(kernel, gridFor(sets * chunks, 1), BLOCK_SIZE, 0, idx, dy, dw, partials, arrivals, rows,
         V, C, (int)classesPerBlock, (int)chunks, deviceIndexError());
}
FOR_FLOATS(embeddingBackward)

} // namespace tinybard::cuda
