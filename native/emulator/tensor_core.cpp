// The instructions of tensor_core.cuh, which documents the layout of their operands.

#include "../cuda/device.cuh"
#include "block.h"
#include "check.h"
#include "report.h"

namespace tinybard::cuda {
namespace emulator {
namespace {

typedef float Float8 __attribute__((vector_size(32)));

/** The operands of a lane. */
struct MmaOperands {
  float* c;
  const uint32_t* a;
  const uint32_t* b;
};

float low(uint32_t pair) { return __uint_as_float(pair << 16); }
float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000); }
/** Clears the bits that the instruction ignores. */
float tf32(uint32_t x) { return __uint_as_float(x & ~0x1fffu); }

/** c += a b for the c of all lanes. a [16, K], b [K, 8] */
template <int K>
void multiplyAdd(void* const* operands, const float (&a)[16][K], const Float8 (&b)[K]) {
  constexpr int ROWS = 4; // at a time, as independent dependency chains
  for (int first = 0; first < 16; first += ROWS) {
    const auto element = [&](int i, int t) {
      const int row = first + i;
      return static_cast<MmaOperands*>(operands[row % 8 * 4 + t])->c + row / 8 * 2;
    };
    Float8 sums[ROWS];
    for (int i = 0; i < ROWS; i++) {
      for (int t = 0; t < 4; t++) {
        sums[i][2 * t] = element(i, t)[0];
        sums[i][2 * t + 1] = element(i, t)[1];
      }
    }
    for (int k = 0; k < K; k++) {
      for (int i = 0; i < ROWS; i++) sums[i] += a[first + i][k] * b[k];
    }
    for (int i = 0; i < ROWS; i++) {
      for (int t = 0; t < 4; t++) {
        element(i, t)[0] = sums[i][2 * t];
        element(i, t)[1] = sums[i][2 * t + 1];
      }
    }
  }
}

const WarpOperation mmaOperation = {
    "mma",
    [](void* const* operands, unsigned) {
      float a[16][16];
      Float8 b[16];
      for (int lane = 0; lane < LANES; lane++) {
        const MmaOperands& own = *static_cast<MmaOperands*>(operands[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
          float* const pair = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
          pair[0] = low(own.a[i]);
          pair[1] = high(own.a[i]);
        }
        for (int i = 0; i < 2; i++) {
          b[2 * t + 8 * i][g] = low(own.b[i]);
          b[2 * t + 8 * i + 1][g] = high(own.b[i]);
        }
      }
      multiplyAdd(operands, a, b);
    },
    true};

const WarpOperation mmaTf32Operation = {
    "mmaTf32",
    [](void* const* operands, unsigned) {
      float a[16][8];
      Float8 b[8];
      for (int lane = 0; lane < LANES; lane++) {
        const MmaOperands& own = *static_cast<MmaOperands*>(operands[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) a[g + i % 2 * 8][t + i / 2 * 4] = tf32(own.a[i]);
        for (int i = 0; i < 2; i++) b[t + 4 * i][g] = tf32(own.b[i]);
      }
      multiplyAdd(operands, a, b);
    },
    true};

/** The operands of a lane. */
struct LdmatrixOperands {
  uint32_t* x;
  const char* row; // 8 elements: row lane % 8 of matrix lane / 8
  const void* code;
};

void checkLdmatrixOperands(void* const* operands) {
  for (int lane = 0; checking && lane < LANES; lane++) {
    const LdmatrixOperands& rows = *static_cast<LdmatrixOperands*>(operands[lane]);
    const int thread = block->runningThread() / LANES * LANES + lane;
    check::accessBy(thread, check::AccessKind::read, rows.row, 16, rows.code);
  }
}

const char* row(void* const* operands, int lane) {
  return static_cast<LdmatrixOperands*>(operands[lane])->row;
}

const WarpOperation loadOperation = {
    "ldmatrix",
    [](void* const* operands, unsigned) {
      checkLdmatrixOperands(operands);
      for (int lane = 0; lane < LANES; lane++) {
        uint32_t* const x = static_cast<LdmatrixOperands*>(operands[lane])->x;
        for (int i = 0; i < 4; i++) {
          std::memcpy(x + i, row(operands, 8 * i + lane / 4) + lane % 4 * 4, 4);
        }
      }
    },
    true};

const WarpOperation transposedLoadOperation = {
    "ldmatrixTransposed",
    [](void* const* operands, unsigned) {
      checkLdmatrixOperands(operands);
      for (int lane = 0; lane < LANES; lane++) {
        uint32_t* const x = static_cast<LdmatrixOperands*>(operands[lane])->x;
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
          uint16_t pair[2];
          for (int j = 0; j < 2; j++) {
            std::memcpy(pair + j, row(operands, 8 * i + 2 * t + j) + 2 * g, 2);
          }
          x[i] = pair[0] | (uint32_t)pair[1] << 16;
        }
      }
    },
    true};

void load(const WarpOperation& operation, uint32_t* x, const void* row, SourceLine line,
          const void* code) {
  const EmulatorScope scope(operation.name);
  const auto failCall = [&](const char* what) {
    fail(std::string(operation.name) + " at " + toString(line) + ": an address is not " + what);
  };
  if ((uintptr_t)row % 16 != 0) failCall("a multiple of 16");
  if (!scope->isShared(row, 16)) failCall("shared memory");
  LdmatrixOperands own = {x, static_cast<const char*>(row), code};
  scope->warpOperation(operation, 0xffffffff, &own, line);
}

} // namespace
} // namespace emulator

using emulator::SourceLine;

void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SourceLine line) {
  emulator::MmaOperands operands = {c, a, b};
  const emulator::EmulatorScope scope("mma");
  if (!hasBf16()) emulator::fail("mma of bf16 requires compute capability 8.0");
  scope->warpOperation(emulator::mmaOperation, 0xffffffff, &operands, line);
}

void mmaTf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SourceLine line) {
  emulator::MmaOperands operands = {c, a, b};
  const emulator::EmulatorScope scope("mmaTf32");
  if (!hasBf16()) emulator::fail("mmaTf32 requires compute capability 8.0");
  scope->warpOperation(emulator::mmaTf32Operation, 0xffffffff, &operands, line);
}

void ldmatrix(uint32_t (&x)[4], const void* row, SourceLine line) {
  emulator::load(emulator::loadOperation, x, row, line, __builtin_return_address(0));
}

void ldmatrixTransposed(uint32_t (&x)[4], const void* row, SourceLine line) {
  emulator::load(emulator::transposedLoadOperation, x, row, line, __builtin_return_address(0));
}

void copyAsync(void* shared, const void* global, int valid) {
  const emulator::EmulatorScope scope("copyAsync");
  scope->copyAsync(shared, global, valid, __builtin_return_address(0));
}

void commitCopies() { emulator::EmulatorScope("commitCopies")->commitCopies(); }

void waitForGroups(int pending) {
  emulator::EmulatorScope("waitForCopies")->waitForGroups(pending);
}

} // namespace tinybard::cuda
