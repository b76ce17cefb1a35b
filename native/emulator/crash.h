// Turns crashes of kernels into reports.
#pragma once

namespace tinybard::cuda::emulator {

/** Reports crashes in kernels until restoreCrashHandlers(). */
void installCrashHandlers();
void restoreCrashHandlers();
/** Gives the calling OS thread a stack for the handler; called before it runs kernels. */
void prepareThreadForCrashes();

} // namespace tinybard::cuda::emulator
