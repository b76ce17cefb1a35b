// The checks of every access, where kernels were compiled to be watched (docs/emulator.md).
#pragma once

#include "emulator.h"

namespace tinybard::cuda::emulator {

/** Whether kernels are watched: g++ -fsanitize=thread has put a call before each access. */
extern bool checking;

namespace check {

// what becomes of the device's memory: all buffers lie within it
bool setMemory(char* base, size_t bytes);
void addBuffer(const void* begin, size_t bytes);
void limitBuffer(const void* begin, size_t bytes);
void removeBuffer(const void* begin);

// what becomes of a launch
void beginLaunch();
void beginBlock(int threads);
void barrier();
void syncWarp(int warp, unsigned mask);
void fence();

// accesses of the running thread, or of thread i, by code at an address
enum class How { read, write, atomic, fill };
void access(How how, const void* at, size_t bytes, const void* code);
void accessOf(int i, How how, const void* at, size_t bytes, const void* code);
/** A copy of 16 bytes to shared memory, which began as How::fill, has landed. */
void landed(const void* to);

} // namespace check
} // namespace tinybard::cuda::emulator
