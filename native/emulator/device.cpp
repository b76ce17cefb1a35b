// The emulated device: it is always available, and its time is CPU time.

#include <chrono>

#include "../cuda/device.cuh"

namespace tinybard::cuda {

const char* unavailableReason() { return nullptr; }
const char* deviceName() { return "the emulator"; }
int driverVersion() { return 0; }

float elapsedMilliseconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work(); // launches are synchronous
  return std::chrono::duration<float, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace tinybard::cuda
