// The interface between runtime.cpp and launch.cpp.
#pragma once

#include "emulator.h"

namespace tinybard::cuda::emulator {

/** Runs all blocks of a launch. Errors are reported (report.h). */
void runNow(const Launch& launch);

} // namespace tinybard::cuda::emulator
