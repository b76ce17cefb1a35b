// One thread pool per process, which includes the calling thread. A range is always divided in the
// same way and mostly processed by the same threads, so each finds its part in its cache. Kernels
// choose the boundaries such that the results do not depend on the thread count.
#pragma once

#include <cstdint>

namespace tinybard {

/** Returns the number of threads, including the caller. */
int threadCount();
/** Sets the number of threads, from 1 to 256. */
void setThreadCount(int count);
/** Joins all worker threads. The next parallel run starts them again. */
void stopThreads();

/** From now on, the calling thread runs its work by itself and does not use the pool. */
void workAlone();

/** Returns at least `floats` elements of uninitialized memory, aligned to 64 bytes. Each thread has
 *  four slots of such memory, which it keeps until a larger size is requested. */
float* scratch(int slot, int64_t floats);

using Body = void (*)(void* context, int64_t begin, int64_t end);
/** Calls body for [0, n) in one range per thread; ranges begin at multiples of grain. Inside
 *  another run, or during that of another JavaScript thread, the caller processes all of it. */
void runParallel(int64_t n, int64_t grain, Body body, void* context);

/** Calls f(begin, end) for ranges that cover [0, n) and begin at multiples of grain. */
template <class F>
void parallelFor(int64_t n, int64_t grain, const F& f) {
  if (n <= grain) {
    if (n > 0) f((int64_t)0, n);
    return;
  }
  const Body body = [](void* context, int64_t begin, int64_t end) {
    (*static_cast<const F*>(context))(begin, end);
  };
  runParallel(n, grain, body, const_cast<F*>(&f));
}

} // namespace tinybard
