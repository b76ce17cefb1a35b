// The emulator against kernels whose results are known, and against planted mistakes: each must be
// found with its kind, kernel, block, thread and line, and its correct twin must stay silent.
// Compiled by g++ as kernels are, once for each mode (docs/emulator.md).

#include <cstdio>
#include <cstdlib>

#include "emulator/mistakes.h"
#include "emulator/values.h"

int main() {
  using namespace tinybard::cuda;
  if (!std::getenv("VERBOSE") && !std::freopen("/dev/null", "w", stderr)) return 2; // its reports
  std::printf("%s mode\n", emulator::checking ? "checked" : "fast");
  testValues();
  testMistakes();
  if (emulator::checking) testWatchedMistakes();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
