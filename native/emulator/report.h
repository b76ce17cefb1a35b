// What the emulator says of a kernel's mistakes.
#pragma once

#include <string>

#include "emulator.h"

namespace tinybard::cuda::emulator {

/** "(1,0,0)" */
std::string text(uint3 index);
/** "rows.cu:12" */
std::string text(Here here);
/** "0x1234" */
std::string text(const void* address);
/** The line that the code at an address comes from, "rows.cu:12", as far as it can be found. */
std::string lineOf(const void* code);
/** A function as it was written, with its template arguments but not its parameters. */
std::string functionAt(const void* code);

/** Notes what went wrong with the present launch, and prints it. The first one counts. */
void note(const std::string& message);
/** The same, of thread i of the running block: "kernel: block (0,0,0), thread (1,0,0): what". */
void noteOf(int i, const std::string& what);
/** The same, of the running thread or of thread i; the block ends here. */
[[noreturn]] void fail(const std::string& what);
[[noreturn]] void failOf(int i, const std::string& what);

/** What was noted since the launch began; empty: nothing. */
std::string failure();
void forgetFailure();
/** The first message since the last question; null: there was none. */
const char* takeMessage();

} // namespace tinybard::cuda::emulator
