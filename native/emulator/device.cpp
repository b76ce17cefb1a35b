// The emulated device: it is always available, and its time is CPU time.

#include <chrono>
#include <cstdlib>

#include "../cuda/device.cuh"

namespace tinybard::cuda {

const char* unavailableReason() { return nullptr; }
bool hasBf16() {
  // such as 7.5: kernels that this compute capability does not have then fail
  static const char* const capability = std::getenv("TINYBARD_EMULATOR_CAPABILITY");
  return !capability || std::atof(capability) >= 8;
}
size_t maxSharedBytes() { return hasBf16() ? 227 * 1024 : 64 * 1024; } // as on the H100
const char* deviceName() { return "the emulator"; }
int driverVersion() { return 0; }

float elapsedMilliseconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work(); // launches are synchronous
  return std::chrono::duration<float, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace tinybard::cuda
