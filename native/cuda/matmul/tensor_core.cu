// GEMM on tensor cores for bf16 inputs; its own file, so that it compiles in parallel with tf32.

#include "tensor_core.cuh"

namespace tinybard::cuda {

template void gemmTensorCore(TiledGemm<bf16, bf16>);
template void gemmTensorCore(TiledGemm<bf16, f32>);

} // namespace tinybard::cuda
