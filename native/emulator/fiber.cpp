// The stack switch, in assembly: pushes the callee-saved registers on the current stack, switches
// the stack pointer, and pops those of the other stack.

#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__x86_64__)
asm(R"(
.text
.globl tinybardSwitchStack
.type tinybardSwitchStack, @function
tinybardSwitchStack:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  .cfi_adjust_cfa_offset 48
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  .cfi_adjust_cfa_offset -48
  ret
  .cfi_endproc
.size tinybardSwitchStack, .-tinybardSwitchStack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl tinybardSwitchStack
.type tinybardSwitchStack, %function
tinybardSwitchStack:
  .cfi_startproc
  sub sp, sp, #160
  .cfi_adjust_cfa_offset 160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  .cfi_adjust_cfa_offset -160
  ret
  .cfi_endproc
.size tinybardSwitchStack, .-tinybardSwitchStack
)");
#else
#error "the emulator supports x86-64 and aarch64"
#endif

namespace tinybard::cuda::emulator {

Stacks::Stacks(int count) : count(count) {
  void* memory = mmap(nullptr, STRIDE * count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  base = static_cast<char*>(memory);
}

Stacks::~Stacks() { munmap(base, STRIDE * count); }

void* Stacks::prepare(int i, void (*entry)()) {
  for (; guarded <= i; guarded++) {
    mprotect(base + guarded * STRIDE, GUARD, PROT_NONE);
  }
  // staggered, so that the tops of a warp's stacks do not map to the same cache sets
  char* const top = base + (i + 1) * STRIDE - i % 32 * 576;
#if defined(__x86_64__)
  void** const sp = reinterpret_cast<void**>(top) - 8; // 6 registers, the entry, no return address
  std::memset(sp, 0, 8 * sizeof(void*));
  sp[6] = reinterpret_cast<void*>(entry);
#else
  void** const sp = reinterpret_cast<void**>(top) - 20; // x19 to x30, d8 to d15
  std::memset(sp, 0, 20 * sizeof(void*));
  sp[11] = reinterpret_cast<void*>(entry); // x30
#endif
  return sp;
}

} // namespace tinybard::cuda::emulator
