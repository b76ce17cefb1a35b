// Kernels with an error that the emulator must report. Each is a template: <true> is correct,
// <false> has the error, on the line marked "planted".
#pragma once

#include "../../../native/emulator/check.h"
#include "support.h"
#include "values.h"

namespace tinybard::cuda {
namespace {

template <bool isRight>
__global__ void divergentBarrier(int* y) {
  if (isRight || threadIdx.x < 40) {
    __syncthreads(); // planted: divergent barrier
  }
  y[blockIdx.x * 64 + threadIdx.x] = 1;
}

template <bool isRight>
__global__ void differentBarriers(int* y) {
  if (!isRight && threadIdx.x < 40) __syncthreads(); // planted: one barrier
  else __syncthreads();
  y[blockIdx.x * 64 + threadIdx.x] = 1;
}

template <bool isRight>
__global__ void deadlock(int* y) {
  int x = 1;
  if (isRight || threadIdx.x != 37) {
    x = __shfl_xor_sync(FULL_MASK, x, 1); // planted: deadlock
  }
  y[blockIdx.x * 64 + threadIdx.x] = x;
}

template <bool isRight>
__global__ void waitElsewhere(int* y) {
  if (isRight || threadIdx.x > 0) __syncwarp(); // planted: waits elsewhere
  __syncthreads();
  y[blockIdx.x * 64 + threadIdx.x] = 1;
}

template <bool isRight>
__global__ void wrongMask(int* y) {
  y[blockIdx.x * 64 + threadIdx.x] = __any_sync(isRight ? FULL_MASK : 0xffff, 1);
}

template <bool isRight>
__global__ void unalignedCopy(const float* x, float* y) {
  SHARED(float4, tile, [33]);
  float* const to = &tile[threadIdx.x].x + (isRight ? 0 : 1);
  copyAsync(to, x + 4 * threadIdx.x); // planted: unaligned copy
  commitCopies();
  waitForCopies<0>();
  y[threadIdx.x] = *to;
}

template <bool isRight>
__global__ void pastShared(float* y) {
  SHARED(float, tile, [64]);
  const int i = threadIdx.x + (isRight ? 0 : 1);
  tile[i] = 1; // planted: past shared
  y[threadIdx.x] = tile[i];
}

template <bool isRight>
__global__ void crash(int* y) {
  if (!isRight && threadIdx.x == 7) y = nullptr;
  y[blockIdx.x * 64 + threadIdx.x] = 1; // planted: crash
}

#if defined(__x86_64__)
template <bool isRight>
__global__ void divisionByZero(int* y) {
  const int i = threadIdx.x + (isRight ? 1 : 0);
  y[blockIdx.x * 64 + threadIdx.x] = 64 / i; // planted: divisor 0
}
#endif

__device__ int depth(int n) {
  volatile int local[1000] = {n};
  return n == 0 ? 0 : depth(n - 1) + local[0];
}

template <bool isRight>
__global__ void stackOverflow(int* y) {
  y[blockIdx.x * 64 + threadIdx.x] = depth(isRight ? 2 : 100);
}

__global__ void nothing() {}

/** The errors that both modes report. */
void testMistakes() {
  Buffer<int> y(192);
  Buffer<float> x(256);
  const auto twins = [&](const std::string& name, void (*right)(int*), void (*wrong)(int*),
                         const std::vector<std::string>& parts) {
    expectFound(name, [&] { launch(right, 3, 64, 0, y.device); },
                [&] { launch(wrong, 3, 64, 0, y.device); }, parts);
  };
  twins("divergent barrier", divergentBarrier<true>, divergentBarrier<false>,
        {"divergentBarrier<false>: block (", ",0,0), thread (0,0,0): deadlock: waits",
         "barrier that not all",
         planted("divergent barrier"), "thread (40,0,0) has finished"});
  twins("two barriers", differentBarriers<true>, differentBarriers<false>,
        {"differentBarriers<false>: block (", "different barrier", planted("one barrier")});
  twins("deadlock", deadlock<true>, deadlock<false>,
        {"deadlock<false>: block (", "thread (32,0,0): deadlock: waits", "a shuffle",
         planted("deadlock"),
         "thread (37,0,0) has finished"});
  twins("lanes that wait elsewhere", waitElsewhere<true>, waitElsewhere<false>,
        {"waitElsewhere<false>: block (", "barrier that not all threads reach",
         "thread (1,0,0) waits at __syncwarp, " + planted("waits elsewhere")});
  twins("a mask without the lane", wrongMask<true>, wrongMask<false>,
        {"wrongMask<false>: block (", "a vote with a mask that does not include the calling lane"});
  twins("a null pointer", crash<true>, crash<false>,
        {"crash<false>: block (", "thread (7,0,0)", " at " + planted("crash")});
#if defined(__x86_64__) // on ARM the result is 0
  twins("a division by 0", divisionByZero<true>, divisionByZero<false>,
        {"divisionByZero<false>: block (", "thread (0,0,0)", planted("divisor 0"),
         "division by zero"});
#endif
  twins("a stack overflow", stackOverflow<true>, stackOverflow<false>,
        {"stackOverflow<false>: block (", "local memory exceeds"});
  expectFound("a copy to an unaligned address",
              [&] { launch(unalignedCopy<true>, 1, 32, 0, x.device, x.device + 128); },
              [&] { launch(unalignedCopy<false>, 1, 32, 0, x.device, x.device + 128); },
              {"unalignedCopy<false>: block (0,0,0), thread (", "copyAsync", "multiple of 16"});
  expectFound("a write past a shared array",
              [&] { launch(pastShared<true>, 1, 64, 0, x.device); },
              [&] { launch(pastShared<false>, 1, 64, 0, x.device); },
              {"pastShared<false>: block (0,0,0)", "out of bounds", "past the end of",
               "shared tile"});
  expectFound("a block of 1025 threads", [] { launch(nothing, 1, 1024, 0); },
              [] { launch(nothing, 1, 1025, 0); }, {"nothing: cannot be launched"});
  launch(nothing, 1, 2000, 0);
  expect("an impossible launch sets the error of the running kernel", pendingError.isSet);
  pendingError.isSet = false;
  lastError();
}

// ---- the errors that only the checked mode reports

template <bool isRight>
__global__ void missingBarrier(float* y) {
  SHARED(float, tile, [64]);
  tile[threadIdx.x] = 0;
  __syncthreads();
  tile[threadIdx.x] = 1; // planted: written without a barrier
  if (isRight) __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x]; // planted: read without a barrier
}

template <bool isRight>
__global__ void missingSecondBarrier(float* y) {
  SHARED(float, tile, [1]);
  for (int i = 0; i < 3; i++) {
    if (threadIdx.x == 5) tile[0] = (float)i; // planted: written too early
    __syncthreads();
    y[threadIdx.x] = tile[0]; // planted: read too late
    if (isRight) __syncthreads();
  }
}

template <bool isRight>
__global__ void missingSyncWarp(float* y) {
  SHARED(float, tile, [64]);
  const int i = threadIdx.x;
  tile[i] = 1;
  if (isRight) __syncwarp();
  else __shfl_sync(FULL_MASK, i, 0); // the lanes meet, but their writes need not be visible
  y[i] = tile[i ^ 1]; // planted: missing syncwarp
}

template <bool isRight>
__global__ void pastBuffer(const float* x, float* y, int n) {
  const int i = blockIdx.x * 32 + threadIdx.x;
  if (i < n) {
    y[i] = x[isRight ? i : i + 1]; // planted: past a buffer
  }
}

template <bool isRight>
__global__ void beforeBuffer(float* y) {
  y[(int)threadIdx.x - (isRight ? 0 : 1)] = 1; // planted: before a buffer
}

template <bool isRight>
__global__ void uninitialized(float* y) {
  SHARED(float, tile, [64]);
  if (isRight || threadIdx.x != 9) tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x]; // planted: uninitialized
}

template <bool isRight>
__global__ void earlyCopy(const float* x, float* y) {
  SHARED(float4, tile, [64]);
  const int i = threadIdx.x;
  tile[i] = make_float4(1, 2, 3, 4);
  __syncthreads();
  y[i] = tile[63 - i].x; // planted: read under a copy
  if (isRight) __syncthreads();
  copyAsync(&tile[i], x + 4 * i); // planted: early copy
  commitCopies();
  waitForCopies<0>();
}

template <bool isRight>
__global__ void blocksRace(float* y) {
  const int i = isRight ? blockIdx.x * 64 + threadIdx.x : threadIdx.x;
  y[i] = 1; // planted: blocks race
}

template <bool isRight>
__global__ void otherStack(int* y) {
  SHARED(int*, pointer, [1]);
  int local[2] = {1, 2};
  if (threadIdx.x == 0) pointer[0] = local;
  __syncthreads();
  const int* const from = isRight ? local : pointer[0];
  y[threadIdx.x] = from[threadIdx.x % 2]; // planted: another stack
  __syncthreads();
}

__global__ void readsFrom(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x]; // planted: host memory
}

template <bool isRight>
__global__ void misaligned(const float* x, float* y) {
  *(float4*)y = *(const float4*)(x + (isRight ? 4 : 5)); // planted: misaligned
}

void testCheckedMistakes() {
  Buffer<float> x(256), y(100);
  const auto twins = [&](const std::string& name, void (*right)(float*), void (*wrong)(float*),
                         const std::vector<std::string>& parts, int blocks = 1) {
    expectFound(name, [&] { launch(right, blocks, 64, 0, x.device); },
                [&] { launch(wrong, blocks, 64, 0, x.device); }, parts);
  };
  twins("missing __syncthreads", missingBarrier<true>, missingBarrier<false>,
        {"missingBarrier<false>: block (0,0,0), thread (", "race at", " by thread (",
         planted("written without a barrier"), planted("read without a barrier")});
  twins("missing __syncthreads of a loop", missingSecondBarrier<true>, missingSecondBarrier<false>,
        {"missingSecondBarrier<false>: block (0,0,0), thread (", "race at",
         planted("written too early"), planted("read too late")});
  twins("missing __syncwarp", missingSyncWarp<true>, missingSyncWarp<false>,
        {"missingSyncWarp<false>: block (0,0,0), thread (",
         "race at " + planted("missing syncwarp") + ": it reads shared tile, written by thread ("});
  expectFound("a read past a buffer",
              [&] { launch(pastBuffer<true>, 4, 32, 0, y.device, x.device, 100); },
              [&] { launch(pastBuffer<false>, 4, 32, 0, y.device, x.device, 100); },
              {"pastBuffer<false>: block (3,0,0), thread (3,0,0): out of bounds at " +
                   planted("past a buffer"),
               "reads 4 bytes, 0 past the end of a buffer of 400"});
  twins("a write before a buffer", beforeBuffer<true>, beforeBuffer<false>,
        {"beforeBuffer<false>: block (0,0,0), thread (0,0,0): out of bounds at " +
             planted("before a buffer"),
         "writes 4 bytes, 4 before the start of a buffer of 1024"});
  twins("a write past a shared array", pastShared<true>, pastShared<false>,
        {"pastShared<false>: block (0,0,0), thread (63,0,0): out of bounds at " +
             planted("past shared"),
         "writes 4 bytes, 0 past the end of shared tile of 256"});
  twins("a read of uninitialized shared memory", uninitialized<true>, uninitialized<false>,
        {"uninitialized<false>: block (0,0,0), thread (9,0,0): uninitialized at " +
             planted("uninitialized"),
         "reads shared tile"});
  expectFound("missing waitForCopies",
              [&] { launch(copies<true>, 1, 32, 0, x.device, y.device, 2); },
              [&] { launch(copies<false>, 1, 32, 0, x.device, y.device, 2); },
              {"copies<false>: block (0,0,0), thread (", "copy in flight at " +
                   planted("missing wait"), "reads shared rows, which copyAsync of thread ("});
  expectFound("a copy over data that others still read",
              [&] { launch(earlyCopy<true>, 1, 64, 0, x.device, y.device); },
              [&] { launch(earlyCopy<false>, 1, 64, 0, x.device, y.device); },
              {"earlyCopy<false>: block (0,0,0), thread (", planted("early copy"),
               planted("read under a copy"), "shared tile"});
  twins("two blocks write the same element", blocksRace<true>, blocksRace<false>,
        {"blocksRace<false>: block (", "race at " + planted("blocks race"), "by block (",
         "writes byte"}, 4);
  const auto sum = [&](auto kernel) {
    launch(kernel, 9, 64, 0, x.device, y.device, y.device + 50, counters(1), 256);
  };
  expectFound("a last block without fences", [&] { sum(total<true>); }, [&] { sum(total<false>); },
              {"total<false>: block (", "race at " + planted("missing fence"),
               "written by block ("});
  Buffer<int> z(64);
  expectFound("another thread's stack", [&] { launch(otherStack<true>, 1, 64, 0, z.device); },
              [&] { launch(otherStack<false>, 1, 64, 0, z.device); },
              {"otherStack<false>: block (0,0,0)", "another stack at " + planted("another stack")});
  expectFound("host memory", [&] { launch(readsFrom, 1, 64, 0, x.device, y.device); },
              [&] { launch(readsFrom, 1, 64, 0, x.host.data(), y.device); },
              {"readsFrom: block (0,0,0)", "not device memory at " + planted("host memory")});
  expectFound("a misaligned access", [&] { launch(misaligned<true>, 1, 1, 0, x.device, y.device); },
              [&] { launch(misaligned<false>, 1, 1, 0, x.device, y.device); },
              {"misaligned<false>: block (0,0,0)", "misaligned at " + planted("misaligned")});
  expectFound("more of the workspace than requested",
              [&] { launch(readsFrom, 1, 64, 0, (float*)workspace(256), y.device); },
              [&] { launch(readsFrom, 1, 64, 0, (float*)workspace(252), y.device); },
              {"thread (63,0,0): out of bounds", "0 past the end of a buffer of 252"});
  expectFound("host code that accesses device memory", [&] { y.get(); },
              [&] { x.host[0] = *y.device; }, // planted: host code
              {"host code at " + planted("host code")});
}

} // namespace
} // namespace tinybard::cuda
