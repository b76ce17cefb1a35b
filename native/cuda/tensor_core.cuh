// The instructions of tensor cores, and what feeds them: PTX in words. The emulator has the same
// functions in C++. A warp's lane l = 4 g + t holds of each matrix the places that PTX gives it:
//
//   a  [16, 16] bf16: a0 (g, 2t), a1 (g + 8, 2t), a2 (g, 2t + 8), a3 (g + 8, 2t + 8), and the next
//      column in the upper half of each
//   b  [16, 8] bf16: b0 (2t, g), b1 (2t + 8, g), and the next row in the upper half of each
//   c  [16, 8] f32: c0 (g, 2t), c1 (g, 2t + 1), c2 (g + 8, 2t), c3 (g + 8, 2t + 1)
//   tf32: a [16, 8]: a0 (g, t), a1 (g + 8, t), a2 (g, t + 4), a3 (g + 8, t + 4); b [8, 8]:
//      b0 (t, g), b1 (t + 4, g)
//
// Source: PTX ISA, sections on mma.sync m16n8k16 and m16n8k8, ldmatrix and cp.async.
#pragma once

#include "device.cuh"

#ifndef TINYBARD_EMULATOR
namespace tinybard::cuda {

/** Two floats as bf16, the first in the lower half. */
__device__ inline uint32_t packBf16x2(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}

/** 2^x to some 2^-22 of it; 0 where that is below 2^-126. */
__device__ inline float fastExp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/** x as tf32: with 10 bits behind the point, to the nearest. */
__device__ inline uint32_t toTf32(float x) {
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}

/** c += a b. a [16, 16], b [16, 8] of bf16; the whole warp. */
__device__ inline void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/** c += a b. a [16, 8], b [8, 8] of tf32; the whole warp. */
__device__ inline void mmaTf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/**
 * Four matrices [8, 8] of bf16 from shared memory: lane 8 i + r gives the address of row r of
 * matrix i, 16 bytes at a multiple of 16; lane 4 g + t gets of each matrix the elements (g, 2t) and
 * (g, 2t + 1).
 */
__device__ inline void ldmatrix(uint32_t (&x)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}

/** The same, each matrix transposed: lane 4 g + t gets the elements (2t, g), (2t + 1, g). */
__device__ inline void ldmatrixTransposed(uint32_t (&x)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}

/**
 * Begins to copy 16 bytes to shared memory: the first `valid` of them from global memory, the rest
 * zeros. Both addresses are multiples of 16. Done after waitForCopies(), seen after a barrier.
 */
__device__ inline void copyAsync(void* shared, const void* global, int valid = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   (uint32_t)__cvta_generic_to_shared(shared)),
               "l"(global), "r"(valid) : "memory");
}

/** Ends a group of copies. */
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Waits until this thread's groups are done, but for the last `pending` ones. */
template <int pending>
__device__ inline void waitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

} // namespace tinybard::cuda
#endif
