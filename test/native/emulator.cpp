// Tests of the emulator: kernels with known results, and kernels with planted errors. Each error
// must be reported with its kind, kernel, block, thread and line, and the correct version of the
// kernel must run without a report. Compiled like kernels, once for each mode (docs/emulator.md).

#include <cstdio>
#include <cstdlib>

#include "emulator/mistakes.h"
#include "emulator/values.h"

int main() {
  using namespace tinybard::cuda;
  if (!std::getenv("VERBOSE") && !std::freopen("/dev/null", "w", stderr)) return 2; // hides reports
  std::printf("%s mode\n", emulator::checking ? "checked" : "fast");
  testValues();
  testMistakes();
  if (emulator::checking) testCheckedMistakes();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
