// The choice of the instruction set. Compiled for any processor of this kind, unlike the kernels.

#include "table.h"

#include <cstring>
#include <initializer_list>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace tinybard {

#if defined(HAS_X64)
namespace avx512 {
extern const Table table;
}
namespace avx2 {
extern const Table table;
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
#else
static bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

#if defined(HAS_ARM64)
namespace neon {
extern const Table table;
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

} // namespace tinybard
