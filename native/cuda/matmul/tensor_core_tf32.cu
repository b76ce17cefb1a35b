// The product of f32, rounded to tf32, on tensor cores.

#include "tensor_core.cuh"

namespace tinybard::cuda {

template void gemmTensorCore(TiledGemm<f32, f32>);

} // namespace tinybard::cuda
