// The emulated device: it is always there.

#include "../cuda/device.cuh"

namespace tinybard::cuda {

const char* whyUnavailable() { return nullptr; }
const char* processor() { return "the emulator"; }

} // namespace tinybard::cuda
