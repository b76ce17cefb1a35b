// The product of bf16 on tensor cores.

#include "tensor_core.cuh"

namespace tinybard::cuda {

template void gemmTensorCore(TiledGemm<bf16, bf16>);
template void gemmTensorCore(TiledGemm<bf16, f32>);

} // namespace tinybard::cuda
