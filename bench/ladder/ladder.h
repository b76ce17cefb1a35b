// The steps of the ladder. Each computes c = a b: a [M, K], b [K, N], c [M, N], by rows, on the
// device.
#pragma once

#include "../../native/cuda/device.cuh"

namespace tinybard::cuda {

void step1(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step2(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step3(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step4(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step5(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
/** N and K are multiples of 4, all matrices begin at multiples of 16 bytes. */
void step6(const f32* a, const f32* b, f32* c, int64_t M, int64_t N, int64_t K);
void step7(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K);
/** N and K are multiples of 8, all matrices begin at multiples of 16 bytes. */
void step8(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K);

} // namespace tinybard::cuda
