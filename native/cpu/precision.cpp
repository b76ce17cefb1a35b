// The precision of matrix products, which is a setting of each JavaScript thread.

#include "bf16.h"

namespace tinybard {

static thread_local const Bf16Kernels* active = nullptr;

const Bf16Kernels* bf16Kernels() { return active; }

void setBf16Kernels(const Bf16Kernels* kernels) { active = kernels; }

} // namespace tinybard
