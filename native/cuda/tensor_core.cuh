// Tensor core instructions and the copies that feed them: thin wrappers around PTX, with the same
// functions in C++ in the emulator. A warp holds a matrix as fragments in the registers of its 32
// lanes. With lane = 4 g + t (PTX: groupID g = 0..7, threadID_in_group t = 0..3), a lane holds:
//
//   mma (bf16, m16n8k16)
//     a [16, 16]: a0 (g, 2t), a1 (g + 8, 2t), a2 (g, 2t + 8), a3 (g + 8, 2t + 8); the upper half of
//                 each register holds the next column
//     b [16, 8]:  b0 (2t, g), b1 (2t + 8, g); the upper half of each holds the next row
//     c [16, 8]:  c0 (g, 2t), c1 (g, 2t + 1), c2 (g + 8, 2t), c3 (g + 8, 2t + 1), in f32
//   mmaTf32 (m16n8k8)
//     a [16, 8]:  a0 (g, t), a1 (g + 8, t), a2 (g, t + 4), a3 (g + 8, t + 4)
//     b [8, 8]:   b0 (t, g), b1 (t + 4, g)
//     c [16, 8]:  as above
//
// Source: PTX ISA, sections mma.sync (m16n8k16, m16n8k8), ldmatrix and cp.async.
#pragma once

#include "device.cuh"

#ifndef TINYBARD_EMULATOR
namespace tinybard::cuda {

/** Rounds two floats to bf16 and packs them into a register, `low` in the lower half. */
__device__ inline uint32_t packBf16x2(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}

/** 2^x with a relative error of about 2^-22; subnormal results are flushed to 0. */
__device__ inline float fastExp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/**
 * Loads four [8, 8] matrices of bf16 from shared memory. Lane 8 i + r passes the address of row r
 * of matrix i: 16 bytes, 16-byte aligned. Lane 4 g + t receives elements (g, 2t) and (g, 2t + 1) of
 * each matrix. All lanes must call it.
 */
__device__ inline void ldmatrix(uint32_t (&x)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}

/** As ldmatrix(), transposing each matrix: lane 4 g + t receives (2t, g) and (2t + 1, g). */
__device__ inline void ldmatrixTransposed(uint32_t (&x)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
/** x rounded to the nearest tf32, which has 10 explicit mantissa bits. */
__device__ inline uint32_t toTf32(float x) {
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}

/** c += a b: a [16, 16] and b [16, 8] in bf16, c [16, 8] in f32. All lanes must call it. */
__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/** c += a b: a [16, 8] and b [8, 8] in tf32, c [16, 8] in f32. All lanes must call it. */
__device__ inline void mmaTf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/**
 * Starts an asynchronous copy of 16 bytes into shared memory (cp.async): the first `valid` bytes
 * come from global memory, the others are zero. Both addresses must be 16-byte aligned. The copy is
 * complete after waitForCopies(), and visible to the other threads after a barrier.
 */
__device__ inline void copyAsync(void* shared, const void* global, int valid = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   (uint32_t)__cvta_generic_to_shared(shared)),
               "l"(global), "r"(valid) : "memory");
}

/** Closes the group of copies that this thread has started since the previous call. */
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Waits for all copy groups of this thread except the last `pending` ones. */
template <int pending>
__device__ inline void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

#else // Turing: hasBf16() is false, so no kernel with these products is launched, only compiled

__device__ inline uint32_t toTf32(float) { __trap(); }
__device__ inline void mma(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) { __trap(); }
__device__ inline void mmaTf32(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]) {
  __trap();
}
__device__ inline void copyAsync(void*, const void*, int = 16) { __trap(); }
__device__ inline void commitCopies() {}
template <int pending>
__device__ inline void waitForCopies() {}
#endif

} // namespace tinybard::cuda
#endif
