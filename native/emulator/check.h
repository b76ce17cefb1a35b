// The checks of memory accesses in kernels compiled for the checked mode (docs/emulator.md).
#pragma once

#include "emulator.h"

namespace tinybard::cuda::emulator {

/** True in checked mode: g++ -fsanitize=thread has inserted a call before each access. */
extern bool checking;

namespace check {

// changes of the device memory, which contains all buffers
bool setMemory(char* base, size_t bytes);
void addBuffer(const void* begin, size_t bytes);
void limitBuffer(const void* begin, size_t bytes);
void removeBuffer(const void* begin);

// progress of a launch
void beginLaunch();
void beginBlock(int threads);
void barrier();
void syncWarp(int warp, unsigned mask);
void fence();

// accesses; `code` is the return address of the inserted call
enum class AccessKind { read, write, atomic, asyncWrite };
/** Checks an access of the running thread. */
void access(AccessKind kind, const void* at, size_t bytes, const void* code);
/** Checks an access of thread i of the running block. */
void accessBy(int i, AccessKind kind, const void* at, size_t bytes, const void* code);
/** Ends an AccessKind::asyncWrite of 16 bytes to shared memory. */
void copyCompleted(const void* to);

} // namespace check
} // namespace tinybard::cuda::emulator
