// Movement kernels: data moves, nothing is computed. Most are one loop: element i of what moves
// comes from one place and goes to another, 16 bytes at a time where rows allow it.

#include <type_traits>

#include "block.cuh"
#include "kernels.h"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

// ---- conversions

/** x as JavaScript stores it in an array of To: for i32 modulo 2^32, 0 for what is no number. */
template <class To, class From>
__device__ inline To converted(From x) {
  if constexpr (std::is_same_v<To, From>) return x;
  else if constexpr (std::is_same_v<From, i32>) return roundTo<To>((float)x);
  else if constexpr (std::is_same_v<To, i32>) {
    const float y = toFloat(x); // from 2^63 on, floats are multiples of 2^40
    return fabsf(y) < 9.2e18f ? (i32)(uint32_t)(int64_t)y : 0;
  } else return roundTo<To>(toFloat(x));
}

template <int W, class To, class From>
__global__ void convert(const From* x, To* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    const Vector<From, W> from = load<W>(x + i * W);
    Vector<To, W> to;
    for (int k = 0; k < W; k++) to.at[k] = converted<To>(from.at[k]);
    store(y + i * W, to);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = converted<To>(x[i]);
}

template <int W, class To, class From>
__global__ void fillWith(To* y, From value, int64_t n) {
  Vector<To, W> to;
  for (int k = 0; k < W; k++) to.at[k] = converted<To>(value);
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) store(y + i * W, to);
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = to.at[0];
}

template <class To, class From>
void copyTo(To* y, const From* x, int64_t n) {
  if (canVectorize<To>(0, x, y))
    launch(convert<8, To, From>, gridStrideBlocks(ceilDiv(n, 8)), BLOCK_SIZE, 0, x, y, n);
  else launch(convert<1, To, From>, gridStrideBlocks(n), BLOCK_SIZE, 0, x, y, n);
}

template <class To>
void copyTo(To* y, const any* x, int64_t n) {
  if (x->type == Type::f32) copyTo(y, static_cast<const f32*>(x->data), n);
  else if (x->type == Type::i32) copyTo(y, static_cast<const i32*>(x->data), n);
  else copyTo(y, static_cast<const bf16*>(x->data), n);
}

template <class To, class From>
void fillTo(To* y, From value, int64_t n) {
  if (canVectorize<To>(0, y))
    launch(fillWith<8, To, From>, gridStrideBlocks(ceilDiv(n, 8)), BLOCK_SIZE, 0, y, value, n);
  else launch(fillWith<1, To, From>, gridStrideBlocks(n), BLOCK_SIZE, 0, y, value, n);
}

// ---- moves: where element i comes from and goes to; sizes in units of what moves at once

/** [outer, p, q, inner] to [outer, q, p, inner] */
struct Transpose {
  int64_t p, q, inner;
  __device__ int64_t from(int64_t i) const {
    const int64_t row = i / inner, a = row % p, b = row / p % q, o = row / p / q;
    return ((o * p + a) * q + b) * inner + i % inner;
  }
  __device__ int64_t to(int64_t i) const { return i; }
};

/** [outer, inner] to [outer, n, inner] */
struct Expand {
  int64_t n, inner;
  __device__ int64_t from(int64_t i) const { return i / (n * inner) * inner + i % inner; }
  __device__ int64_t to(int64_t i) const { return i; }
};

/** [outer, whole] to [outer, piece]: what begins at `start` of each whole; or in reverse. */
template <bool isReverse>
struct Piece {
  int64_t piece, whole, start;
  __device__ int64_t within(int64_t i) const { return i / piece * whole + start + i % piece; }
  __device__ int64_t from(int64_t i) const { return isReverse ? i : within(i); }
  __device__ int64_t to(int64_t i) const { return isReverse ? within(i) : i; }
};

/** [V, C] to [rows, C]: row r is row idx[r]. */
struct Gather {
  const i32* idx;
  int64_t V, C;
  IndexError* indexError;
  __device__ int64_t from(int64_t i) const {
    const int64_t r = i / C;
    return checkIndex(idx[r], V, IndexSource::embedding, r, indexError) * C + i % C;
  }
  __device__ int64_t to(int64_t i) const { return i; }
};

template <class Unit, class Map>
__global__ void move(const Unit* x, Unit* y, int64_t n, Map map) {
  for (int64_t i = globalThreadIndex(); i < n; i += globalThreadCount()) y[map.to(i)] = x[map.from(i)];
}

/**
 * Moves n elements by a map whose sizes `lengths` are those that count elements: they are turned
 * into 16-byte units, if all are whole numbers of them.
 */
template <class W, class Map, class... Lengths>
void moveBy(Map map, const W* x, W* y, int64_t n, Lengths Map::*... lengths) {
  constexpr int size = Pack<W>::size;
  if (canVectorize<W>((n | ... | (map.*lengths)), x, y)) {
    ((map.*lengths /= size), ...);
    launch(move<Pack<W>, Map>, gridStrideBlocks(n / size), BLOCK_SIZE, 0, reinterpret_cast<const Pack<W>*>(x),
           reinterpret_cast<Pack<W>*>(y), n / size, map);
  } else launch(move<W, Map>, gridStrideBlocks(n), BLOCK_SIZE, 0, x, y, n, map);
}

/** x [outer, p, q] to y [outer, q, p], by tiles that are read and written along their rows. */
template <class W>
__global__ void transposeTiles(const W* x, W* y, int64_t p, int64_t q, int64_t tilesP,
                               int64_t tilesQ) {
  SHARED(W, tile, [WARP][WARP + 1]);
  const int64_t o = blockIdx.x / (tilesP * tilesQ);
  const int64_t a = blockIdx.x / tilesQ % tilesP * WARP, b = blockIdx.x % tilesQ * WARP;
  for (int i = warp(); i < WARP; i += BLOCK_SIZE / WARP)
    if (a + i < p && b + lane() < q) tile[i][lane()] = x[(o * p + a + i) * q + b + lane()];
  __syncthreads();
  for (int i = warp(); i < WARP; i += BLOCK_SIZE / WARP)
    if (b + i < q && a + lane() < p) y[(o * q + b + i) * p + a + lane()] = tile[lane()][i];
}

/** Whether count elements from `start` lie within n; if not, says so. */
bool isPart(const char* kernel, int64_t start, int64_t count, int64_t n) {
  if (start + count <= n) return true;
  kernelError("%s: start %lld and count %lld, expected at most %lld together",
              kernel, (long long)start, (long long)count, (long long)n);
  return false;
}

template <class W, bool isReverse>
void movePiece(const W* x, W* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
               int64_t count) {
  using Map = Piece<isReverse>;
  moveBy<W, Map>({count * inner, n * inner, start * inner}, x, y, outer * count * inner,
                 &Map::piece, &Map::whole, &Map::start);
}

// ---- embedding, backward

constexpr int ROWS = 8192;    // that are looked through at a time
constexpr int CLASSES = 1024; // of a block, at most
constexpr int HEAVY = 64;     // rows of a class that are worth the whole block

/** A row of some class among ROWS, in 4 bytes. */
struct Match {
  uint32_t both;
  __device__ int row() const { return both % ROWS; }
  __device__ int of() const { return both / ROWS; }
};

/** Lists the rows from `first` to `end` - 1 of `classes` classes in their order; gives how many. */
__device__ inline int findMatches(const i32* idx, int64_t first, int64_t end, int64_t firstClass,
                                  int classes, int64_t V, Match* matches, IndexError* indexError) {
  SHARED(int, found, [BLOCK_SIZE / WARP]);
  constexpr int warps = BLOCK_SIZE / WARP;
  const int64_t here = end - first < ROWS ? end - first : ROWS;
  const int part = (int)ceilDiv(here, warps * WARP) * WARP; // a warp's rows
  int place = 0, all = 0;
  for (const bool writes : {false, true}) { // first only counted, to know where each warp begins
    for (int i = warp() * part; i < (warp() + 1) * part && first + i < end; i += WARP) {
      const int64_t row = first + i + lane();
      const int64_t of =
          (row < end ? checkIndex(idx[row], V, IndexSource::embeddingBackward, row, indexError) : -1) - firstClass;
      const bool isOurs = row < end && of >= 0 && of < classes;
      const unsigned ours = __ballot_sync(FULL_MASK, isOurs);
      if (writes && isOurs)
        matches[place + __popc(ours & ((1u << lane()) - 1))] = {(uint32_t)of * ROWS + i + lane()};
      place += __popc(ours);
    }
    if (writes) break;
    if (lane() == 0) found[warp()] = place;
    __syncthreads();
    place = 0;
    for (int w = 0; w < BLOCK_SIZE / WARP; w++) {
      if (w < warp()) place += found[w];
      all += found[w];
    }
  }
  __syncthreads();
  return all;
}

/** How many of `count` matches are of class v; by a warp. */
__device__ inline int countOf(int v, const Match* matches, int count) {
  int sum = 0;
  for (int m = 0; m < count; m += WARP)
    sum += __popc(__ballot_sync(FULL_MASK, m + lane() < count && matches[m + lane()].of() == v));
  return sum;
}

/** The sum of W columns of the rows of class v, among the matches from `first` to `end` - 1. */
template <int W, class F>
__device__ inline Vector<float, W> sumOf(int v, const Match* matches, int first, int end,
                                         const F* column, int64_t C, bool isColumn) {
  Vector<float, W> total = {};
  for (int m = first; m < end; m += WARP) {
    unsigned left = __ballot_sync(FULL_MASK, m + lane() < end && matches[m + lane()].of() == v);
    while (left != 0) {
      constexpr int AT_ONCE = 4; // loads under way
      Vector<F, W> x[AT_ONCE];
#pragma unroll
      for (int k = 0; k < AT_ONCE; k++) {
        x[k] = {};
        if (left != 0 && isColumn) x[k] = load<W>(column + matches[m + __ffs(left) - 1].row() * C);
        left &= left - 1;
      }
#pragma unroll
      for (int k = 0; k < AT_ONCE; k++)
        for (int i = 0; i < W; i++) total.at[i] += toFloat(x[k].at[i]);
    }
  }
  return total;
}

/**
 * dw[v] = the sum of the rows dy[r] with idx[r] = v. A block has some classes and one of `chunks`
 * of the rows: it lists which rows are of its classes, and each of its warps sums one class after
 * another; where a class has many rows, all warps do together. The chunks' sums lie in slabs
 * [chunks, V, C].
 */
template <int W, class F>
__global__ void __launch_bounds__(BLOCK_SIZE, 3)
    sumByClass(const i32* idx, const F* dy, f32* dw, f32* slabs, unsigned* counters, int64_t rows,
               int64_t V, int64_t C, int most, int chunks, IndexError* indexError) {
  SHARED(Match, matches, [ROWS]);
  SHARED(bool, isHeavy, [CLASSES]);
  SHARED(float, sums, [BLOCK_SIZE / WARP][WARP * W]);
  const int chunk = blockIdx.x % chunks;
  const int64_t set = blockIdx.x / chunks, firstClass = set * most;
  const int classes = (int)(V - firstClass < most ? V - firstClass : most);
  const int64_t begin = rows * chunk / chunks, end = rows * (chunk + 1) / chunks;
  f32* out = (chunks == 1 ? dw : slabs + chunk * V * C) + firstClass * C;
  for (int64_t first = begin; first == begin || first < end; first += ROWS) {
    const int count = findMatches(idx, first, end, firstClass, classes, V, matches, indexError);
    for (int v = warp(); v < classes; v += BLOCK_SIZE / WARP) {
      const int rowsHere = countOf(v, matches, count);
      if (lane() == 0) isHeavy[v] = rowsHere > HEAVY;
      if (rowsHere > HEAVY || (rowsHere == 0 && first > begin)) continue;
      for (int64_t tile = 0; tile < C; tile += WARP * W) {
        const int64_t c = tile + lane() * W;
        Vector<float, W> sum = sumOf<W>(v, matches, 0, count, dy + first * C + c, C, c < C);
        if (c >= C) continue;
        if (first > begin)
          for (int i = 0; i < W; i++) sum.at[i] += out[v * C + c + i];
        store(out + v * C + c, sum);
      }
    }
    __syncthreads();
    for (int v = 0; v < classes; v++) {
      if (!isHeavy[v]) continue;
      for (int64_t tile = 0; tile < C; tile += WARP * W) {
        const int64_t c = tile + lane() * W, own = tile + threadIdx.x;
        constexpr int warps = BLOCK_SIZE / WARP;
        store(sums[warp()] + lane() * W,
              sumOf<W>(v, matches, count * warp() / warps, count * (warp() + 1) / warps,
                       dy + first * C + c, C, c < C));
        __syncthreads();
        if (threadIdx.x < WARP * W && own < C) {
          float sum = first > begin ? out[v * C + own] : 0;
          for (int w = 0; w < warps; w++) sum += sums[w][threadIdx.x];
          out[v * C + own] = sum;
        }
        __syncthreads();
      }
    }
    __syncthreads(); // all have read the matches
  }
  if (chunks == 1) return;
  f32* ours = slabs + firstClass * C;
  if (!reducePartials(ours, V * C, classes * C, chunk, chunks, counters + set * partialCounters(chunks)))
    return;
  for (int64_t i = threadIdx.x; i < classes * C; i += BLOCK_SIZE) dw[firstClass * C + i] = ours[i];
}

/** Refuses indices of which none can be right. */
bool isEmpty(const char* kernel, int64_t rows, int64_t V) {
  if (rows > 0 && V == 0) kernelError("%s: V is 0, expected at least 1", kernel);
  return rows > 0 && V == 0;
}

} // namespace

void copy(const any* x, any* y, int64_t n) {
  if (y->type == Type::f32) copyTo(static_cast<f32*>(y->data), x, n);
  else if (y->type == Type::i32) copyTo(static_cast<i32*>(y->data), x, n);
  else copyTo(static_cast<bf16*>(y->data), x, n);
}

void fill(any* y, double value, int64_t n) {
  if (y->type == Type::f32) fillTo(static_cast<f32*>(y->data), (float)value, n);
  else if (y->type == Type::i32) fillTo(static_cast<i32*>(y->data), toInt32(value), n);
  else fillTo(static_cast<bf16*>(y->data), (float)value, n);
}

template <class W>
void transpose(const W* x, W* y, int64_t outer, int64_t p, int64_t q, int64_t inner) {
  const int64_t tilesP = ceilDiv(p, WARP), tilesQ = ceilDiv(q, WARP);
  if (inner == 1 && p >= WARP / 2 && q >= WARP / 2)
    launch(transposeTiles<W>, Dim((unsigned)(outer * tilesP * tilesQ)), BLOCK_SIZE, 0, x, y, p, q,
           tilesP, tilesQ);
  else moveBy<W>(Transpose{p, q, inner}, x, y, outer * p * q * inner, &Transpose::inner);
}
FOR_WORDS(transpose)

template <class W>
void expand(const W* x, W* y, int64_t outer, int64_t n, int64_t inner) {
  moveBy<W>(Expand{n, inner}, x, y, outer * n * inner, &Expand::inner);
}
FOR_WORDS(expand)

template <class W>
void slice(const W* x, W* y, int64_t outer, int64_t n, int64_t inner, int64_t start, int64_t count) {
  if (isPart("slice", start, count, n))
    movePiece<W, false>(x, y, outer, n, inner, start, count);
}
FOR_WORDS(slice)

template <class W>
void sliceUpdate(const W* x, W* y, int64_t outer, int64_t n, int64_t inner, int64_t start, int64_t count) {
  if (isPart("sliceUpdate", start, count, n)) movePiece<W, true>(x, y, outer, n, inner, start, count);
}
FOR_WORDS(sliceUpdate)

template <class F>
void embedding(const i32* idx, const F* w, F* y, int64_t rows, int64_t V, int64_t C) {
  if (!isEmpty("embedding", rows, V))
    moveBy<F>(Gather{idx, V, C, deviceIndexError()}, w, y, rows * C, &Gather::C);
}
FOR_FLOATS(embedding)

template <class F>
void embeddingBackward(const i32* idx, const F* dy, f32* dw, int64_t rows, int64_t V, int64_t C) {
  if (isEmpty("embeddingBackward", rows, V)) return;
  // some 250 blocks by classes; where there are fewer classes, more by rows
  const int64_t eights = ceilDiv(ceilDiv(V, 8), 256);
  const int64_t most = eights < CLASSES / 8 ? 8 * eights : CLASSES;
  const int64_t sets = ceilDiv(V, most), useful = ceilDiv(rows, BLOCK_SIZE);
  const int64_t wanted = sets == 0 || sets > 512 ? 1 : 512 / sets;
  const int64_t chunks = useful == 0 ? 1 : wanted < useful ? wanted : useful;
  f32* slabs = chunks == 1 ? nullptr : static_cast<f32*>(workspace(chunks * V * C * sizeof(f32)));
  constexpr int W = Pack<F>::size;
  launch(canVectorize<F>(C, dy, dw) ? sumByClass<W, F> : sumByClass<1, F>, gridFor(sets * chunks, 1),
         BLOCK_SIZE, 0, idx, dy, dw, slabs, counters(sets * partialCounters(chunks)), rows, V, C, (int)most,
         (int)chunks, deviceIndexError());
}
FOR_FLOATS(embeddingBackward)

} // namespace tinybard::cuda
