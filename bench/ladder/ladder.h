// The steps of the GEMM ladder. Each computes c = a b on the device, with row-major a [M, K],
// b [K, N] and c [M, N].
#pragma once

#include "../../native/cuda/device.cuh"

namespace tinybard::cuda {

void step1(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step2(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step3(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step4(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step5(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
/** Requires N and K to be multiples of 4, and 16-byte aligned matrices. */
void step6(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step7(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K);
/** Requires N and K to be multiples of 8, and 16-byte aligned matrices. */
void step8(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K);

} // namespace tinybard::cuda
