// The interface to the device: with device.cu, the only file that calls the CUDA runtime. The
// emulator (docs/emulator.md) implements the same interface for g++, and so runs the same kernels
// on the CPU. CUDA syntax that is not C++ is wrapped: launch() is <<<>>>, SHARED is __shared__;
// tensor_core.cuh wraps PTX.
#pragma once

#include <functional>
#include <vector>

#include "../kernel.h"

#ifdef TINYBARD_EMULATOR
#include "../emulator/emulator.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>

/** Declares an array in shared memory, aligned to 16 bytes: SHARED(float, tile, [8][36]); */
#define SHARED(T, name, sizes) __shared__ __align__(16) T name sizes
/** Declares T* name, the dynamic shared memory that launch() requested, aligned to 128 bytes. */
#define DYNAMIC_SHARED(T, name)                               \
  extern __shared__ __align__(128) unsigned char dynamicShared[]; \
  T* const name = reinterpret_cast<T*>(dynamicShared)
#endif

struct CUstream_st;

namespace tinybard::cuda {

// ---- memory and the stream (device.cu)

/** Allocates device memory; returns null if none is left. */
void* allocate(size_t bytes);
void release(void* memory);
/** Copies in stream order. While a graph is captured, the copy becomes part of the graph. */
void copyToDevice(void* to, const void* from, size_t bytes);
/** Copies in stream order and waits until the copy is done. */
void copyToHost(void* to, const void* from, size_t bytes);
/** Waits until the stream is idle. */
void synchronize();
/** Returns the first device error since the last call, or null. */
const char* lastError();
/** Sets the error that lastError() returns, unless there is one. */
void deviceError(const char* message);
/** From now on, calls `findError` again and again while the host waits for the device: it returns
 *  null, or an error that ends the waiting. Null ends the calls. */
void checkWhileWaiting(const char* (*findError)());

/** Returns the number of kernels launched so far, those in graphs included. */
int64_t launchCount();
/** Returns the reason why no device can be used, or null if one can. */
const char* unavailableReason();
/** Returns true if the tensor cores multiply bf16 and tf32: since compute capability 8.0. */
bool hasBf16();
/** Returns the most shared memory that a block can have: 64 KB on Turing, 99 to 227 KB since. */
size_t maxSharedBytes();
const char* deviceName();
/** Returns the driver's CUDA version: 13000 for CUDA 13.0. */
int driverVersion();
/** Returns the number of streaming multiprocessors. */
int multiprocessors();
/** Runs `work` and returns the device time of its launches in milliseconds, after waiting. */
float elapsedMilliseconds(const std::function<void()>& work);

/** Runs the call of a library that adds work to the stream. While a graph is captured, that work
 *  becomes part of the graph. */
void enqueueLibraryCall(const std::function<void(CUstream_st* stream)>& call);

/** A captured sequence of launches and copies that the device replays: a CUDA graph. */
struct Graph;
/** Records launches instead of running them, until endCapture(). No allocation is possible. */
void beginCapture();
bool isCapturing();
/** Returns the graph of the launches since beginCapture(), or null if an error occurred. */
Graph* endCapture();
void launchGraph(Graph* graph);
void destroyGraph(Graph* graph);

// ---- resources of launchers (resources.cpp); they are never freed

/** Returns scratch memory of at least `bytes`, valid until the next call. */
void* workspace(size_t bytes);
/** Returns `count` zeroed counters; each kernel must leave them at zero. */
unsigned* counters(int64_t count);
/** Returns a device copy of a table, such as a list of pointers. Equal tables are uploaded once. */
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
  cachedAttention,
  qkNorm
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

/** Counts a launch; if it failed, sets the error of the running kernel. */
void afterLaunch();

#ifndef TINYBARD_EMULATOR
cudaStream_t stream();
/** Raises a kernel's limit of dynamic shared memory above the default (48 KB less SHARED). */
void allowDynamicShared(const void* kernel, size_t bytes);

#ifdef __CUDACC__ // files without launches may be compiled by any C++ compiler
/**
 * Runs kernel<<<grid, block, sharedBytes>>>(arguments...). Does nothing if the grid is empty or the
 * running kernel has failed.
 */
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Dim grid, Dim block, size_t sharedBytes,
            Arguments... arguments) {
  if (pendingError.isSet || (size_t)grid.x * grid.y * grid.z == 0) return;
  if (sharedBytes > 32 * 1024)
    allowDynamicShared(reinterpret_cast<const void*>(kernel), sharedBytes);
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

/** Converts x to F, rounding to nearest, ties to even. */
template <class F>
__device__ inline F roundTo(float x) {
  if constexpr (sizeof(F) == 2) return __float2bfloat16(x);
  else return x;
}
#endif

/** 16 bytes of elements, moved by one load or store; the address must be a multiple of 16. */
template <class F>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(F);
  F at[size];
};

/** Returns true if rows of n elements from these addresses on can be accessed by packs. */
template <class F, class... Pointers>
__host__ __device__ bool canVectorize(int64_t n, Pointers... pointers) {
  return n % Pack<F>::size == 0 && (((size_t)pointers % 16 == 0) && ...);
}

/**
 * Returns n / divisor, rounded up: the number of parts of `divisor` elements that cover n. It is 0
 * if either is 0, so that a launch for empty buffers does not divide by 0.
 */
__host__ __device__ constexpr int64_t ceilDiv(int64_t n, int64_t divisor) {
  return divisor == 0 ? 0 : (n + divisor - 1) / divisor;
}

/** Returns a one-dimensional grid for n elements, perBlock to a block, of at most maxBlocks. */
inline Dim gridFor(int64_t n, int64_t perBlock, int64_t maxBlocks = 1 << 30) {
  const int64_t blocks = ceilDiv(n, perBlock);
  return Dim((unsigned)(blocks < maxBlocks ? blocks : maxBlocks));
}

} // namespace tinybard::cuda
