// The choice of the instruction set. Compiled for any processor of this kind, unlike the kernels.

#include "table.h"

#include <cstring>
#include <initializer_list>

#if defined(_MSC_VER)
#include <intrin.h>
#elif defined(HAS_X64)
#include <cpuid.h>
#endif
#if defined(HAS_ARM64) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(HAS_ARM64) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace tinybard {

#if defined(HAS_X64)
namespace avx512 {
extern const Table table;
}
namespace avx2 {
extern const Table table;
}
namespace avx512_bf16 {
extern const Bf16Kernels bf16;
}
namespace avx2_bf16 {
extern const Bf16Kernels bf16;
}

#if defined(_MSC_VER)
static bool hasAvx(bool is512) {
  int leaf1[4], leaf7[4];
  __cpuidex(leaf1, 1, 0);
  __cpuidex(leaf7, 7, 0);
  if (!(leaf1[2] & (1 << 27))) return false; // the operating system saves wide registers
  const unsigned long long state = is512 ? 0xe6 : 0x6;
  if ((_xgetbv(0) & state) != state) return false;
  const unsigned required = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; // F, DQ, BW, VL
  if (is512 && ((unsigned)leaf7[1] & required) != required) return false;
  return (leaf1[2] & (1 << 12)) && (leaf7[1] & (1 << 5)); // FMA, AVX2
}
static bool hasAvx512() { return hasAvx(true); }
static bool hasAvx2() { return hasAvx(false); }
static bool hasAvx512Bf16() {
  int leaf7[4];
  __cpuidex(leaf7, 7, 0);
  if (leaf7[0] < 1) return false; // subleaf 1 does not exist
  __cpuidex(leaf7, 7, 1);
  return leaf7[0] & (1 << 5);
}
#else
static bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
static bool hasAvx512Bf16() { // older compilers do not know its name
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || eax < 1) return false;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 5);
}
#endif
#endif

#if defined(HAS_ARM64)
namespace neon {
extern const Table table;
}
namespace neon_bf16 {
extern const Bf16Kernels bf16;
}

static bool hasNeonBf16() {
#if defined(__linux__)
  return getauxval(AT_HWCAP2) & 1ul << 14; // HWCAP2_BF16, which older systems do not define
#elif defined(__APPLE__)
  int hasIt = 0;
  size_t size = sizeof hasIt;
  return sysctlbyname("hw.optional.arm.FEAT_BF16", &hasIt, &size, nullptr, 0) == 0 && hasIt;
#else
  return false;
#endif
}
#endif

namespace scalar {
extern const Table table;
}

const Table* chooseTable(const char* forced, const char** reason) {
  const auto isAllowed = [=](const char* name) {
    return !forced || !*forced || std::strcmp(forced, name) == 0;
  };
#if defined(HAS_X64)
  if (isAllowed("avx512") && hasAvx512()) return &avx512::table;
  if (isAllowed("avx2") && hasAvx2()) return &avx2::table;
#endif
#if defined(HAS_ARM64)
  if (isAllowed("neon")) return &neon::table;
#endif
  if (isAllowed("scalar")) return &scalar::table;
  *reason = "expected avx512, avx2, neon or scalar";
  for (const char* known : {"avx512", "avx2", "neon"})
    if (std::strcmp(forced, known) == 0) *reason = "this processor does not have it";
  return nullptr;
}

const Bf16Kernels* chooseBf16(const Table* table, bool isEmulated) {
#if defined(HAS_X64)
  if (table == &avx512::table && hasAvx512Bf16()) return &avx512_bf16::bf16;
  if (table == &avx2::table && isEmulated) return &avx2_bf16::bf16;
#endif
#if defined(HAS_ARM64)
  if (table == &neon::table && hasNeonBf16()) return &neon_bf16::bf16;
#endif
  (void)table;
  (void)isEmulated;
  return nullptr;
}

} // namespace tinybard
