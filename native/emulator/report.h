// Reports of a kernel's errors.
#pragma once

#include <string>

#include "emulator.h"

namespace tinybard::cuda::emulator {

/** "(1,0,0)" */
std::string toString(uint3 index);
/** "softmax.cu:12" */
std::string toString(SourceLine line);
/** "0x1234" */
std::string toString(const void* address);
/** Returns the source line of a code address, "softmax.cu:12"; if unknown, the address. */
std::string sourceLine(const void* code);
/** Returns the name of the function at an address: with template arguments, without parameters. */
std::string functionName(const void* code);

/** Prints an error of the current launch and keeps it. Later ones of the launch are ignored. */
void report(const std::string& message);
/** Reports "kernel: block (0,0,0), thread (1,0,0): what" for thread i of the running block. */
void reportThread(int i, const std::string& what);
/** The same, for the running thread or thread i; abandons the block. */
[[noreturn]] void fail(const std::string& what);
[[noreturn]] void failThread(int i, const std::string& what);

/** Returns the error of the current launch, or an empty string. */
std::string failure();
void clearFailure();
/** Returns the first error since the last call, or null. */
const char* takeMessage();

} // namespace tinybard::cuda::emulator
