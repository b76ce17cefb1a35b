// What launches need of the runtime, and it of them.
#pragma once

#include "emulator.h"

namespace tinybard::cuda::emulator {

/** Runs all blocks of a launch; what goes wrong is noted (report.h). */
void runNow(const Launch& launch);

} // namespace tinybard::cuda::emulator
