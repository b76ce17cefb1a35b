// Crashes of kernels, caught.
#pragma once

namespace tinybard::cuda::emulator {

/** From here on crashes within kernels are reported; until giveBackCrashes(). */
void catchCrashes();
void giveBackCrashes();
/** Each thread of the system that runs kernels calls it before. */
void prepareForCrashes();

} // namespace tinybard::cuda::emulator
