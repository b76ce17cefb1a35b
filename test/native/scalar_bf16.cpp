// The kernels for products in bf16 in software, to compare those of other instruction sets with.

#define SIMD scalar_bf16
#define SIMD_SCALAR
#include "cpu/bf16.cpp"
