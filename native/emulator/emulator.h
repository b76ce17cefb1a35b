// CUDA's declarations for g++: with this header in place of CUDA's, the kernels of native/cuda are
// plain C++ that runs on the CPU, thread by thread (docs/emulator.md). Only types and arithmetic
// are defined here; whatever waits or is checked is defined in the other files of this folder.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

// ---- thread and block indices

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// __thread instead of thread_local: zero-initialized, so that no access checks for construction
#define EMULATOR_THREAD_LOCAL extern __thread __attribute__((tls_model("initial-exec")))
EMULATOR_THREAD_LOCAL uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace tinybard::cuda::emulator {

/** A line of a kernel's source. */
struct SourceLine {
  const char* file;
  int number;
};
/** The last parameter of functions that need to know the line of their call. */
#define EMULATOR_SOURCE_LINE                     \
  ::tinybard::cuda::emulator::SourceLine line = { \
      __builtin_FILE(), __builtin_LINE()}

// ---- shared memory

/** A declaration with SHARED. A block gets an array for each one that it executes. */
struct SharedDeclaration {
  const char* name;
  size_t bytes;
  size_t alignment;
};
void* sharedArray(const SharedDeclaration& declaration);
void* dynamicShared();

// ---- launches

/** A kernel launch. */
struct Launch {
  const void* kernel;
  dim3 grid, block;
  size_t sharedBytes;
  void (*body)(const void* arguments); // the code of each thread
  std::shared_ptr<const void> arguments;
  size_t argumentBytes;
};
/** Runs a launch, or adds it to the graph that is being captured. */
void submit(Launch&& launch);

/** Seeds the order of threads and blocks; initially TINYBARD_EMULATOR_SEED. */
void setSeed(uint64_t seed);

/** Checked mode: from now on, accesses past the first `bytes` of a buffer are reported. */
void limitBuffer(const void* begin, size_t bytes);

// ---- shuffles and votes of a warp

enum class ShuffleMode { index, up, down, exclusiveOr };
uint32_t shuffle(ShuffleMode mode, unsigned mask, uint32_t x, int operand, int width,
                 SourceLine line);
/** Returns a bit for each lane of the mask whose condition is true. */
unsigned vote(unsigned mask, bool condition, SourceLine line);

template <class To, class From>
inline To bitCast(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}

} // namespace tinybard::cuda::emulator

#define SHARED(T, name, sizes)                                                     \
  typedef T name##Array sizes;                                                     \
  static const ::tinybard::cuda::emulator::SharedDeclaration name##Declaration = { \
      #name, sizeof(name##Array), 16};                                             \
  name##Array& name = *static_cast<name##Array*>(                                  \
      ::tinybard::cuda::emulator::sharedArray(name##Declaration))
#define DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(::tinybard::cuda::emulator::dynamicShared())

// ---- barriers, votes, shuffles, atomics

void __syncthreads(EMULATOR_SOURCE_LINE);
void __syncwarp(unsigned mask = 0xffffffff, EMULATOR_SOURCE_LINE);
void __threadfence();

inline unsigned __ballot_sync(unsigned mask, int condition, EMULATOR_SOURCE_LINE) {
  return tinybard::cuda::emulator::vote(mask, condition != 0, line);
}
inline int __any_sync(unsigned mask, int condition, EMULATOR_SOURCE_LINE) {
  return tinybard::cuda::emulator::vote(mask, condition != 0, line) != 0;
}
inline int __all_sync(unsigned mask, int condition, EMULATOR_SOURCE_LINE) {
  return tinybard::cuda::emulator::vote(mask, condition == 0, line) == 0;
}

#define EMULATOR_SHUFFLE(name, mode)                                                       \
  template <class T>                                                                       \
  inline T name(unsigned mask, T x, int operand, int width = 32, EMULATOR_SOURCE_LINE) {   \
    using namespace tinybard::cuda::emulator;                                              \
    const uint32_t bits = bitCast<uint32_t>(x);                                            \
    return bitCast<T>(shuffle(ShuffleMode::mode, mask, bits, operand, width, line));       \
  }
EMULATOR_SHUFFLE(__shfl_sync, index)
EMULATOR_SHUFFLE(__shfl_up_sync, up)
EMULATOR_SHUFFLE(__shfl_down_sync, down)
EMULATOR_SHUFFLE(__shfl_xor_sync, exclusiveOr)

int atomicAdd(int* at, int x);
unsigned atomicAdd(unsigned* at, unsigned x);
unsigned long long atomicAdd(unsigned long long* at, unsigned long long x);
float atomicAdd(float* at, float x);
int atomicCAS(int* at, int expected, int x);
unsigned atomicCAS(unsigned* at, unsigned expected, unsigned x);
unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected,
                             unsigned long long x);
int atomicMax(int* at, int x);
unsigned atomicMax(unsigned* at, unsigned x);
unsigned long long atomicMax(unsigned long long* at, unsigned long long x);
int atomicExch(int* at, int x);
unsigned atomicExch(unsigned* at, unsigned x);
unsigned long long atomicExch(unsigned long long* at, unsigned long long x);
float atomicExch(float* at, float x);

// ---- vectors

struct alignas(8) float2 { float x, y; };
struct alignas(8) int2 { int x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };

inline float2 make_float2(float x, float y) { return {x, y}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- arithmetic

inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }

inline unsigned __float_as_uint(float x) {
  return tinybard::cuda::emulator::bitCast<unsigned>(x);
}
inline int __float_as_int(float x) { return tinybard::cuda::emulator::bitCast<int>(x); }
inline float __uint_as_float(unsigned x) { return tinybard::cuda::emulator::bitCast<float>(x); }
inline float __int_as_float(int x) { return tinybard::cuda::emulator::bitCast<float>(x); }

#define EMULATOR_MIN_MAX(T)                           \
  inline T min(T a, T b) { return b < a ? b : a; }    \
  inline T max(T a, T b) { return a < b ? b : a; }
EMULATOR_MIN_MAX(int)
EMULATOR_MIN_MAX(unsigned)
EMULATOR_MIN_MAX(long)
EMULATOR_MIN_MAX(unsigned long)
EMULATOR_MIN_MAX(long long)
EMULATOR_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }

// loads and stores with cache hints
template <class T> inline T __ldg(const T* at) { return *at; }
template <class T> inline T __ldcg(const T* at) { return *at; }
template <class T> inline T __ldcs(const T* at) { return *at; }
template <class T> inline void __stcs(T* at, T x) { *at = x; }

namespace tinybard::cuda {

// in this namespace, since the C library defines the same names globally
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }

struct bf16 {
  uint16_t bits;
};

inline float toFloat(float x) { return x; }
inline float toFloat(bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

/** Returns the bits of x as bf16, rounded to nearest, ties to even. */
inline uint16_t toBf16(float x) {
  const uint32_t bits = __float_as_uint(x);
  if (x != x) return 0x7fff; // the NaN of the device
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/** Converts x to F, rounding to nearest, ties to even. */
template <class F>
inline F roundTo(float x) {
  if constexpr (sizeof(F) == 2) return {toBf16(x)};
  else return x;
}

// ---- the instructions of tensor_core.cuh

inline uint32_t packBf16x2(float low, float high) {
  return toBf16(low) | (uint32_t)toBf16(high) << 16;
}
inline float fastExp2(float x) { return exp2f(x) < 0x1p-126f ? 0.0f : exp2f(x); }
/** Rounds to nearest, ties away from zero. */
inline uint32_t toTf32(float x) {
  const uint32_t bits = __float_as_uint(x);
  return std::isfinite(x) ? (bits + 0x1000) & ~0x1fffu : bits;
}
void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMULATOR_SOURCE_LINE);
void mmaTf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMULATOR_SOURCE_LINE);
void ldmatrix(uint32_t (&x)[4], const void* row, EMULATOR_SOURCE_LINE);
void ldmatrixTransposed(uint32_t (&x)[4], const void* row, EMULATOR_SOURCE_LINE);

void copyAsync(void* shared, const void* global, int valid = 16);
void commitCopies();
void waitForGroups(int pending);
template <int pending>
inline void waitForCopies() {
  waitForGroups(pending);
}

// ---- launching

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t sharedBytes,
            Arguments... arguments) {
  using Call = std::pair<void (*)(Parameters...), std::tuple<Parameters...>>;
  const auto body = [](const void* call) {
    std::apply(static_cast<const Call*>(call)->first, static_cast<const Call*>(call)->second);
  };
  emulator::submit({reinterpret_cast<const void*>(kernel), grid, block, sharedBytes, body,
                    std::make_shared<const Call>(kernel, std::tuple<Parameters...>(arguments...)),
                    sizeof(Call)});
}

} // namespace tinybard::cuda
