// Threads: one pool for the process, the calling thread included. Work is cut the same way each
// time and mostly done by the same threads: each finds in its cache what it left there, and no
// result hangs on timing.
#pragma once

#include <cstdint>

namespace tinybard {

/** How many threads work, the caller among them. */
int threadCount();
/** Sets it, from 1 to 256. */
void setThreadCount(int count);
/** Ends all threads but the caller's; the next run starts them again. */
void stopThreads();

/** From now on the calling thread works by itself, and leaves the pool to others. */
void workAlone();

/** Memory of at least `floats` elements for the calling thread, aligned to 64 bytes, its content
 *  undefined. There are four such places a thread; each keeps what it grew to. */
float* scratch(int place, int64_t floats);

using Body = void (*)(void* context, int64_t begin, int64_t end);
/** Runs body on [0, n) in as many ranges as there are threads; ranges begin at multiples of grain.
 *  Inside of another run, or when another JavaScript thread is in one: on the caller alone. */
void runParallel(int64_t n, int64_t grain, Body body, void* context);

/** f(begin, end) on all parts of [0, n), each a multiple of `grain` long, but the last. */
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
