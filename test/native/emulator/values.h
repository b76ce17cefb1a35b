// Kernels with known results.
#pragma once

#include <algorithm>
#include <cmath>

#include "../../../native/cuda/block.cuh"
#include "../../../native/cuda/tensor_core.cuh"
#include "support.h"

namespace tinybard::cuda {
namespace {

template <class T>
__global__ void shuffles(T* y, int width) {
  const T x = (T)(threadIdx.x * 3 + 1);
  T* const results = y + threadIdx.x * 4;
  results[0] = __shfl_sync(FULL_MASK, x, threadIdx.x + 5, width);
  results[1] = __shfl_up_sync(FULL_MASK, x, 3, width);
  results[2] = __shfl_down_sync(FULL_MASK, x, 3, width);
  results[3] = __shfl_xor_sync(FULL_MASK, x, 5, width);
}

template <class T>
void testShuffles(const char* type) {
  bool isRight = true;
  for (int width = 1; width <= 32; width *= 2) {
    Buffer<T> y(64 * 4);
    launch(shuffles<T>, 1, 64, 0, y.device, width);
    y.get();
    for (int i = 0; i < 64; i++) {
      const int lane = i % 32, first = lane / width * width, last = first + width - 1;
      const int from[4] = {first + (i + 5) % width, lane - 3 < first ? lane : lane - 3,
                           lane + 3 > last ? lane : lane + 3, (lane ^ 5) > last ? lane : lane ^ 5};
      for (int j = 0; j < 4; j++) {
        isRight &= y.host[i * 4 + j] == (T)((i / 32 * 32 + from[j]) * 3 + 1);
      }
    }
  }
  expect(std::string("shuffles of ") + type, isRight);
}

__global__ void votes(unsigned* y) {
  const int i = threadIdx.x;
  unsigned* const results = y + 4 * i;
  results[0] = __ballot_sync(FULL_MASK, i % 3 == 0);
  results[1] = __all_sync(FULL_MASK, i < 32);
  results[2] = __any_sync(FULL_MASK, i == 40);
  if (i % 32 < 8) results[3] = __ballot_sync(0xff, i % 2); // two groups of lanes vote independently
  else results[3] = __ballot_sync(~0xffu, i % 2);
}

void testVotes() {
  Buffer<unsigned> y(64 * 4);
  launch(votes, 1, 64, 0, y.device);
  y.get();
  bool isRight = true;
  for (unsigned i = 0; i < 64; i++) {
    unsigned thirds = 0;
    for (unsigned j = 0; j < 32; j++) thirds |= (i / 32 * 32 + j) % 3 == 0 ? 1u << j : 0;
    isRight &= y.host[4 * i] == thirds && y.host[4 * i + 1] == (i < 32) &&
               y.host[4 * i + 2] == (i >= 32) &&
               y.host[4 * i + 3] == (0xaaaaaaaa & (i % 32 < 8 ? 0xff : ~0xffu));
  }
  expect("votes, also of two groups of one warp", isRight);
}

template <bool isTf32>
__global__ void mmas(const float* a, const float* b, float* c) {
  const int g = lane() / 4, t = lane() % 4;
  float sum[4];
  for (int i = 0; i < 4; i++) sum[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  uint32_t x[4], y[2];
  for (int i = 0; i < 4; i++) {
    const int row = g + i % 2 * 8, k = isTf32 ? t + i / 2 * 4 : 2 * t + i / 2 * 8;
    x[i] = isTf32 ? toTf32(a[row * 8 + k]) : packBf16x2(a[row * 16 + k], a[row * 16 + k + 1]);
  }
  for (int i = 0; i < 2; i++) {
    const int k = isTf32 ? t + 4 * i : 2 * t + 8 * i;
    y[i] = isTf32 ? toTf32(b[k * 8 + g]) : packBf16x2(b[k * 8 + g], b[k * 8 + 8 + g]);
  }
  if constexpr (isTf32) mmaTf32(sum, x, y);
  else mma(sum, x, y);
  for (int i = 0; i < 4; i++) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

template <bool isTf32>
void testMma(const char* name) {
  constexpr int K = isTf32 ? 8 : 16;
  Buffer<float> a(16 * K), b(K * 8), c(16 * 8);
  for (auto* buffer : {&a, &b, &c}) {
    for (float& x : buffer->host) x = toFloat(roundTo<bf16>(randomFloat()));
    buffer->put();
  }
  const std::vector<float> before = c.host;
  launch(mmas<isTf32>, 1, 32, 0, a.device, b.device, c.device);
  c.get();
  double worst = 0;
  for (int i = 0; i < 16 * 8; i++) {
    double sum = before[i];
    for (int k = 0; k < K; k++) sum += (double)a.host[i / 8 * K + k] * b.host[k * 8 + i % 8];
    worst = std::max(worst, std::fabs(sum - c.host[i]));
  }
  expect(name, worst < 1e-5, std::to_string(worst));
}

__global__ void matrices(const uint4* x, unsigned* y) {
  SHARED(uint4, tile, [32]);
  tile[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  uint32_t plain[4], transposed[4];
  ldmatrix(plain, &tile[threadIdx.x]);
  ldmatrixTransposed(transposed, &tile[threadIdx.x]);
  for (int i = 0; i < 4; i++) {
    y[threadIdx.x * 8 + i] = plain[i];
    y[threadIdx.x * 8 + 4 + i] = transposed[i];
  }
}

void testMatrices() {
  Buffer<uint16_t> x(256);
  Buffer<unsigned> y(256);
  for (int i = 0; i < 256; i++) x.host[i] = (uint16_t)(i * 257);
  x.put();
  launch(matrices, 1, 32, 0, (const uint4*)x.device, y.device);
  y.get();
  bool isRight = true;
  for (int l = 0; l < 32; l++) {
    const int g = l / 4, t = l % 4;
    for (int i = 0; i < 4; i++) {
      const uint16_t* const m = &x.host[i * 64]; // [8, 8]
      isRight &= y.host[l * 8 + i] == (m[g * 8 + 2 * t] | (unsigned)m[g * 8 + 2 * t + 1] << 16);
      isRight &= y.host[l * 8 + 4 + i] ==
                 (m[2 * t * 8 + g] | (unsigned)m[(2 * t + 1) * 8 + g] << 16);
    }
  }
  expect("ldmatrix, ldmatrixTransposed", isRight);
}

/** Sums n rows of float4, copied one row per group with three groups in flight. */
template <bool waits>
__global__ void copies(const float* x, float* y, int n) {
  SHARED(float4, rows, [4][32]);
  const float4* const from = (const float4*)x;
  const int i = threadIdx.x;
  for (int row = 0; row < 3; row++) {
    if (row < n) copyAsync(&rows[row][i], from + row * 32 + i);
    commitCopies();
  }
  float sum = 0;
  for (int row = 0; row < n; row++) {
    if (waits) waitForCopies<2>();
    const float4 value = rows[row % 4][i]; // planted: missing wait
    sum += value.x + value.y + value.z + value.w;
    if (row + 3 < n) copyAsync(&rows[(row + 3) % 4][i], from + (row + 3) * 32 + i, 8);
    commitCopies();
  }
  y[i] = sum;
}

void testCopies() {
  Buffer<float> x(10 * 128), y(32);
  for (float& value : x.host) value = (float)(int)(100 * randomFloat());
  x.put();
  launch(copies<true>, 1, 32, 0, x.device, y.device, 10);
  y.get();
  bool isRight = true;
  for (int i = 0; i < 32; i++) {
    float sum = 0;
    for (int row = 0; row < 10; row++) { // from the third on, the second half is zeros
      for (int j = 0; j < (row < 3 ? 4 : 2); j++) sum += x.host[row * 128 + 4 * i + j];
    }
    isRight &= y.host[i] == sum;
  }
  expect("copyAsync: groups, and zeros after the valid bytes", isRight);
}

__global__ void atomics(int* i, unsigned* u, unsigned long long* l, float* f) {
  const int me = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(i, me);
  atomicAdd(u, 2u);
  atomicAdd(l, 1ull << 33);
  atomicAdd(f, 0.5f);
  atomicMax(i + 1, me);
  atomicMax(u + 1, (unsigned)me);
  atomicExch(u + 2, 7u);
  atomicCAS(i + 2, 0, me + 1);
}

void testAtomics() {
  Buffer<int> i(3);
  Buffer<unsigned> u(3);
  Buffer<unsigned long long> l(1);
  Buffer<float> f(1);
  launch(atomics, 20, 50, 0, i.device, u.device, l.device, f.device);
  i.get();
  u.get();
  l.get();
  f.get();
  expect("atomics", i.host[0] == 499500 && u.host[0] == 2000 && l.host[0] == 1000ull << 33 &&
                        f.host[0] == 500 && i.host[1] == 999 && u.host[1] == 999 &&
                        u.host[2] == 7 && i.host[2] >= 1 && i.host[2] <= 1000);
}

template <bool fences>
__global__ void total(const float* x, float* partial, float* y, unsigned* counter, int n) {
  float sum = 0;
  const int step = gridDim.x * blockDim.x;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) sum += x[i];
  sum = blockSum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  bool isLast;
  if constexpr (fences) {
    isLast = isLastBlock(counter, gridDim.x);
  } else { // isLastBlock without its fences
    SHARED(bool, last, [1]);
    if (threadIdx.x == 0) {
      last[0] = atomicAdd(counter, 1u) == gridDim.x - 1;
      if (last[0]) *counter = 0;
    }
    __syncthreads();
    isLast = last[0];
  }
  if (!isLast) return;
  sum = 0;
  for (int i = threadIdx.x; i < (int)gridDim.x; i += blockDim.x) {
    sum += partial[i]; // planted: missing fence
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0) *y = sum;
}

void testLastBlock() {
  Buffer<float> x(1000, 0.25f), partial(30), y(1);
  for (int i = 0; i < 2; i++) {
    y.host[0] = 0;
    y.put();
    launch(total<true>, 30, 64, 0, x.device, partial.device, y.device, counters(1), 1000);
    expect("the last block sees the sums of the others", y.get()[0] == 250);
  }
}

template <int n>
__device__ void reverse(float* x) {
  SHARED(float, reversed, [n]);
  __syncthreads();
  if (threadIdx.x < n) reversed[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  if (threadIdx.x < n) x[threadIdx.x] = reversed[n - 1 - threadIdx.x];
}

__global__ void sharing(float* y, int* facts) {
  DYNAMIC_SHARED(float, all);
  for (int i = threadIdx.x; i < 1000; i += blockDim.x) all[i] = (float)i;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < 1000; i++) sum += all[i];
  y[threadIdx.x] = sum + threadIdx.x;
  __syncthreads();
  reverse<32>(y);
  reverse<16>(y);
  __syncthreads();
  reverse<16>(y);
  if (threadIdx.x == 0) facts[0] = (size_t)all % 128 == 0;
}

void testSharing() {
  Buffer<float> y(32);
  Buffer<int> facts(1);
  launch(sharing, 1, 32, 4000, y.device, facts.device);
  y.get();
  bool isRight = facts.get()[0] == 1;
  for (int i = 0; i < 32; i++) isRight &= y.host[i] == 499500 + 31 - i;
  expect("shared arrays, one for each instance of a function, and dynamic", isRight);
}

__global__ void indices(int* y) {
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  y[block * (blockDim.x * blockDim.y * blockDim.z) + thread]++;
}

void testIndices() {
  Buffer<int> y(3 * 5 * 7 * 2 * 3 * 4);
  launch(indices, Dim(3, 5, 7), Dim(2, 3, 4), 0, y.device);
  bool isRight = true;
  for (int count : y.get()) isRight &= count == 1;
  launch(indices, Dim(0, 5, 7), Dim(2, 3, 4), 0, y.device);
  expect("grids and blocks in three dimensions; empty ones", isRight && y.get() == y.host);
}

__global__ void order(int* y, int* next) { y[atomicAdd(next, 1)] = threadIdx.x; }

void testOrder() {
  std::vector<int> orders[3];
  for (int i = 0; i < 3; i++) {
    Buffer<int> y(64), next(1);
    emulator::setSeed(i == 1 ? 2 : 1);
    launch(order, 1, 64, 0, y.device, next.device);
    orders[i] = y.get();
    std::vector<int> sorted = orders[i];
    std::sort(sorted.begin(), sorted.end());
    for (int j = 0; j < 64; j++) orders[i].resize(sorted[j] == j ? 64 : 0);
  }
  expect("the order depends on the seed alone", orders[0].size() == 64 && orders[0] == orders[2] &&
                                                  orders[0] != orders[1]);
}

__global__ void scaled(const float* x, float* y, float by) { y[threadIdx.x] = x[threadIdx.x] * by; }

void testGraphs() {
  Buffer<float> x(32, 1.0f), y(32), z(32);
  const float two[1] = {2};
  const int64_t before = launchCount();
  float by = 3;
  beginCapture();
  launch(scaled, 1, 32, 0, x.device, y.device, by);
  copyToDevice(y.device, two, 4);
  launch(scaled, 1, 32, 0, y.device, z.device, 10.0f);
  by = 4;
  Graph* const graph = endCapture();
  expect("a capture runs nothing", z.get()[1] == 0 && launchCount() == before && graph);
  if (!graph) return;
  launchGraph(graph);
  expect("a graph runs, with its arguments by value", z.get()[0] == 20 && z.host[1] == 30);
  x.host.assign(32, 5.0f);
  x.put();
  launchGraph(graph);
  expect("a graph runs again, on what its buffers hold", z.get()[0] == 20 && z.host[1] == 150);
  expect("launches are counted within graphs", launchCount() == before + 4);
  destroyGraph(graph);
  const std::function<void()> allocating[] = {[] { allocate(1); }, [] { workspace(1 << 30); },
                                        [] { getDeviceTable(std::vector<int>{1, 2, 3, 77}); }};
  for (const auto& f : allocating) {
    beginCapture();
    f();
    const bool hasFailed = pendingError.isSet;
    pendingError.isSet = false;
    destroyGraph(endCapture());
    expect("nothing can be allocated in a capture", hasFailed);
  }
}

void testResources() {
  void* const first = workspace(1000);
  const bool isReused = first == workspace(500);
  const bool hasGrown = workspace(1 << 22) != first;
  expect("the workspace is reused and grows",
         isReused && hasGrown && workspace(1 << 22) == workspace(10));
  const std::vector<int> a = {1, 2}, b = {1, 3};
  int back[2];
  copyToHost(back, getDeviceTable(b), 8);
  const bool isUploadedOnce =
      getDeviceTable(a) == getDeviceTable(a) && getDeviceTable(b) == getDeviceTable(b);
  expect("equal tables are uploaded once",
         isUploadedOnce && getDeviceTable(a) != getDeviceTable(b) && back[1] == 3);
}

void testNumbers() {
  const float inf = INFINITY;
  const auto bits = [](float x) { return roundTo<bf16>(x).bits; };
  expect("bf16", bits(1) == 0x3f80 && bits(inf) == 0x7f80 && bits(-inf) == 0xff80 &&
                     bits(NAN) == 0x7fff && bits(1.00390625f) == 0x3f80 &&
                     bits(1.01171875f) == 0x3f82 && bits(3.4e38f) == 0x7f80 &&
                     toFloat(bf16{0x3fc0}) == 1.5f && packBf16x2(1, 2) == 0x40003f80);
  expect("tf32", __uint_as_float(toTf32(1 + 1 / 2048.0f)) == 1 + 1 / 1024.0f &&
                     std::isnan(__uint_as_float(toTf32(NAN))));
  expect("__umulhi and others", __umulhi(0xffffffff, 0xffffffff) == 0xfffffffe &&
                                    ::max(-1, 2) == 2 && ::min(3u, 2u) == 2 &&
                                    rsqrtf(4) == 0.5f && __popc(7) == 3 && __clz(1) == 31);
}

void testValues() {
  testShuffles<float>("float");
  testShuffles<int>("int");
  testShuffles<unsigned>("unsigned");
  testVotes();
  testMma<false>("mma");
  testMma<true>("mmaTf32");
  testMatrices();
  testCopies();
  testAtomics();
  testLastBlock();
  testSharing();
  testIndices();
  testOrder();
  testGraphs();
  testResources();
  testNumbers();
  expect("no report so far", !lastError());
}

} // namespace
} // namespace tinybard::cuda
