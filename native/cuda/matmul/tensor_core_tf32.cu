// GEMM on tensor cores for f32 inputs, which are rounded to tf32.

#include "tensor_core.cuh"

namespace tinybard::cuda {

template void gemmTensorCore(TiledGemm<f32, f32>);

} // namespace tinybard::cuda
