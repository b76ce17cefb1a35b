// The device as kernels and launchers know it, and the only page that talks to the CUDA runtime.
// Compiled by g++ instead of nvcc, the emulator gives the same names, and the same kernels run on
// the processor (docs/emulator.md). What is no C++ has a word of its own here: launch() stands for
// <<<>>>, SHARED for __shared__; PTX has its words in tensor_core.cuh.
#pragma once

#include <functional>
#include <vector>

#include "../call.h"

#ifdef TINYBARD_EMULATOR
#include "../emulator/emulator.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>

/** An array that a block's threads share, at a multiple of 16: SHARED(float, tile, [8][36]); */
#define SHARED(T, name, sizes) __shared__ __align__(16) T name sizes
/** T* name: the shared memory whose size launch() was given. It begins at a multiple of 128. */
#define DYNAMIC_SHARED(T, name)                               \
  extern __shared__ __align__(128) unsigned char dynamicShared[]; \
  T* const name = reinterpret_cast<T*>(dynamicShared)
#endif

namespace tinybard::cuda {

// ---- memory and the stream, in device.cu

/** Memory of the device, null if there is none left. */
void* allocate(size_t bytes);
void release(void* memory);
/** Copies that take their turn among the kernels; those to the host wait until they are done. */
void copyToDevice(void* to, const void* from, size_t bytes);
void copyToHost(void* to, const void* from, size_t bytes);
/** Waits until all that was asked of the device is done. */
void synchronize();
/** What went wrong on the device since the last question; null if nothing did. */
const char* lastError();

/** How many kernels were launched, by launch() or within a graph. */
int64_t launchCount();
/** Why there is no device to work on, in words; null if there is one. */
const char* unavailableReason();
/** The name of the device. */
const char* deviceName();
/** The driver's version: 13000 for CUDA 13.0. */
int driverVersion();
/** How many blocks of threads the device runs side by side: streaming multiprocessors. */
int multiprocessors();
/** Milliseconds that the device takes for what `work` launches; waits until it is done. */
float elapsedMilliseconds(const std::function<void()>& work);

/** A list of launches that the device runs again by itself. */
struct Graph;
/** From here on launches are noted, not run, until endCapture(). Nothing may be allocated. */
void beginCapture();
bool isCapturing();
/** The launches since beginCapture(); null if they could not be made a graph. */
Graph* endCapture();
void launchGraph(Graph* graph);
void destroyGraph(Graph* graph);

// ---- what launchers may ask for; all of it stays as long as the process

/** At least so many bytes to work in, until the next launcher asks. */
void* workspace(size_t bytes);
/** `count` counters of 0, which each kernel must leave at 0. */
unsigned* counters(int64_t count);
/** The same bytes on the device: a table of pointers, say. Equal bytes are copied once. */
const void* getDeviceTable(const void* bytes, size_t count);
template <class T>
const T* getDeviceTable(const std::vector<T>& list) {
  return static_cast<const T*>(getDeviceTable(list.data(), list.size() * sizeof(T)));
}

/** The kernel argument that held an index out of range. Values as in buffer.cpp's table. */
enum class IndexSource : int {
  none,
  embedding,
  embeddingBackward,
  crossEntropy,
  linearCrossEntropy,
  rotary,
  embeddingQuantized,
  cachedAttention
};
/** The first index out of range since the last report: element `position` was `value`. */
struct IndexError {
  int source; // an IndexSource, as an int for atomicCAS
  int value;
  long long position;
  long long bound; // valid indices are 0 to bound - 1
};
/** The device's only IndexError, which kernels write and reads of any buffer report. */
IndexError* deviceIndexError();

// ---- launching

using Dim = dim3;

/** Notes a launch, and refuses in the name of the running kernel if it failed. */
void afterLaunch();

#ifndef TINYBARD_EMULATOR
cudaStream_t stream();
/** Lets a kernel have more dynamic shared memory than all have: 48 KB, less what SHARED takes. */
void allowShared(const void* kernel, size_t bytes);

#ifdef __CUDACC__ // pages that launch nothing may be compiled by any C++ compiler
/** kernel<<<grid, block, sharedBytes>>>(arguments...); nothing if the grid is empty, or refused. */
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Dim grid, Dim block, size_t sharedBytes,
            Arguments... arguments) {
  if (pendingError.isSet || (size_t)grid.x * grid.y * grid.z == 0) return;
  if (sharedBytes > 32 * 1024) allowShared(reinterpret_cast<const void*>(kernel), sharedBytes);
  kernel<<<grid, block, sharedBytes, stream()>>>(arguments...);
  afterLaunch();
}
#endif
#endif

// ---- numbers

#ifndef TINYBARD_EMULATOR
using bf16 = __nv_bfloat16;

__device__ inline float toFloat(float x) { return x; }
__device__ inline float toFloat(bf16 x) { return __bfloat162float(x); }

/** x rounded to F, to the nearest, ties to even. */
template <class F>
__device__ inline F roundTo(float x) {
  if constexpr (sizeof(F) == 2) return __float2bfloat16(x);
  else return x;
}
#endif

/** 16 bytes of floats, as one load or store moves them; the address must be a multiple of 16. */
template <class F>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(F);
  F at[size];
};

/** Whether packs can be used: rows of n elements that begin at such addresses. */
template <class F, class... Pointers>
__host__ __device__ bool canVectorize(int64_t n, Pointers... pointers) {
  return n % Pack<F>::size == 0 && (((size_t)pointers % 16 == 0) && ...);
}

/** How many parts of `part` cover n. */
__host__ __device__ constexpr int64_t ceilDiv(int64_t n, int64_t part) {
  return (n + part - 1) / part;
}

/** A grid in one dimension for n elements, `each` to a block, at most `most` blocks. */
inline Dim gridFor(int64_t n, int64_t each, int64_t most = 1 << 30) {
  const int64_t blocks = ceilDiv(n, each);
  return Dim((unsigned)(blocks < most ? blocks : most));
}

} // namespace tinybard::cuda
