// The functions that g++ -fsanitize=thread calls before each access. They run the emulator's
// checks; ThreadSanitizer's own library is not linked.

#include "check.h"
#include "block.h"
#include "report.h"

using namespace tinybard::cuda::emulator;
using check::AccessKind;

namespace {

template <int bytes>
void checkAligned(AccessKind kind, const void* at, const void* code) {
  if (block && !isInEmulator && (uintptr_t)at % bytes != 0) {
    fail("misaligned at " + sourceLine(code) + ": an access of " + std::to_string(bytes) +
         " bytes at an address that is not a multiple of that");
  }
  check::access(kind, at, bytes, code);
}

} // namespace

#define CODE __builtin_return_address(0)
#define SIZED(bytes)                                                                              \
  void __tsan_read##bytes(void* at) { checkAligned<bytes>(AccessKind::read, at, CODE); }          \
  void __tsan_write##bytes(void* at) { checkAligned<bytes>(AccessKind::write, at, CODE); }        \
  void __tsan_volatile_read##bytes(void* at) { checkAligned<bytes>(AccessKind::read, at, CODE); } \
  void __tsan_volatile_write##bytes(void* at) {                                                   \
    checkAligned<bytes>(AccessKind::write, at, CODE);                                             \
  }                                                                                               \
  void __tsan_unaligned_read##bytes(void* at) {                                                   \
    check::access(AccessKind::read, at, bytes, CODE);                                             \
  }                                                                                               \
  void __tsan_unaligned_write##bytes(void* at) {                                                  \
    check::access(AccessKind::write, at, bytes, CODE);                                            \
  }

// not used by kernels, but by the C++ library's headers
#define UPDATE(bits, T, name)                                              \
  T __tsan_atomic##bits##_fetch_##name(volatile T* at, T x, int) {         \
    return __atomic_fetch_##name(at, x, __ATOMIC_SEQ_CST);                 \
  }
#define ATOMICS(bits, T)                                                                        \
  T __tsan_atomic##bits##_load(const volatile T* at, int) {                                     \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                               \
  }                                                                                             \
  void __tsan_atomic##bits##_store(volatile T* at, T x, int) {                                  \
    __atomic_store_n(at, x, __ATOMIC_SEQ_CST);                                                  \
  }                                                                                             \
  T __tsan_atomic##bits##_exchange(volatile T* at, T x, int) {                                  \
    return __atomic_exchange_n(at, x, __ATOMIC_SEQ_CST);                                        \
  }                                                                                             \
  UPDATE(bits, T, add) UPDATE(bits, T, sub) UPDATE(bits, T, and) UPDATE(bits, T, or)            \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* at, T* old, T x, int, int) {    \
    return __atomic_compare_exchange_n(at, old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }                                                                                             \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* at, T* old, T x, int, int) {      \
    return __atomic_compare_exchange_n(at, old, x, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
  }

extern "C" {

void __tsan_init() { checking = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

SIZED(1)
SIZED(2)
SIZED(4)
SIZED(8)
SIZED(16)

void __tsan_read_range(void* at, size_t bytes) {
  check::access(AccessKind::read, at, bytes, CODE);
}
void __tsan_write_range(void* at, size_t bytes) {
  check::access(AccessKind::write, at, bytes, CODE);
}

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
}
