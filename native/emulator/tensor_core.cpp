// The instructions of tensor cores, as tensor_core.cuh describes where the lanes hold what.

#include "block.h"
#include "check.h"
#include "report.h"

namespace tinybard::cuda {
namespace emulator {
namespace {

typedef float Eight __attribute__((vector_size(32)));

struct Product {
  float* c;
  const uint32_t *a, *b;
};

float low(uint32_t pair) { return __uint_as_float(pair << 16); }
float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000); }
/** The instruction does not look at the other bits. */
float tf32(uint32_t x) { return __uint_as_float(x & ~0x1fffu); }

/** c += a b, for the lanes' c; a [16, K], b [K, 8]. */
template <int K>
void multiply(void* const* offers, const float (&a)[16][K], const Eight (&b)[K]) {
  constexpr int AT_ONCE = 4; // rows: their sums do not wait for each other
  for (int first = 0; first < 16; first += AT_ONCE) {
    const auto place = [&](int i, int t) {
      const int row = first + i;
      return static_cast<Product*>(offers[row % 8 * 4 + t])->c + row / 8 * 2;
    };
    Eight sums[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
      for (int t = 0; t < 4; t++) {
        sums[i][2 * t] = place(i, t)[0];
        sums[i][2 * t + 1] = place(i, t)[1];
      }
    }
    for (int k = 0; k < K; k++) {
      for (int i = 0; i < AT_ONCE; i++) sums[i] += a[first + i][k] * b[k];
    }
    for (int i = 0; i < AT_ONCE; i++) {
      for (int t = 0; t < 4; t++) {
        place(i, t)[0] = sums[i][2 * t];
        place(i, t)[1] = sums[i][2 * t + 1];
      }
    }
  }
}

const Operation mmaOperation = {
    "mma",
    [](void* const* offers, unsigned) {
      float a[16][16];
      Eight b[16];
      for (int lane = 0; lane < LANES; lane++) {
        const Product& mine = *static_cast<Product*>(offers[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
          float* const place = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
          place[0] = low(mine.a[i]);
          place[1] = high(mine.a[i]);
        }
        for (int i = 0; i < 2; i++) {
          b[2 * t + 8 * i][g] = low(mine.b[i]);
          b[2 * t + 8 * i + 1][g] = high(mine.b[i]);
        }
      }
      multiply(offers, a, b);
    },
    true};

const Operation mmaTf32Operation = {
    "mmaTf32",
    [](void* const* offers, unsigned) {
      float a[16][8];
      Eight b[8];
      for (int lane = 0; lane < LANES; lane++) {
        const Product& mine = *static_cast<Product*>(offers[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) a[g + i % 2 * 8][t + i / 2 * 4] = tf32(mine.a[i]);
        for (int i = 0; i < 2; i++) b[t + 4 * i][g] = tf32(mine.b[i]);
      }
      multiply(offers, a, b);
    },
    true};

struct Rows {
  uint32_t* x;
  const char* row; // of 8 elements: row lane % 8 of matrix lane / 8
  const void* code;
};

void checkRows(void* const* offers) {
  for (int lane = 0; checking && lane < LANES; lane++) {
    const Rows& rows = *static_cast<Rows*>(offers[lane]);
    const int thread = block->running() / LANES * LANES + lane;
    check::accessOf(thread, check::How::read, rows.row, 16, rows.code);
  }
}

const char* row(void* const* offers, int i) { return static_cast<Rows*>(offers[i])->row; }

const Operation loadOperation = {
    "ldmatrix",
    [](void* const* offers, unsigned) {
      checkRows(offers);
      for (int lane = 0; lane < LANES; lane++) {
        uint32_t* const x = static_cast<Rows*>(offers[lane])->x;
        for (int i = 0; i < 4; i++) {
          std::memcpy(x + i, row(offers, 8 * i + lane / 4) + lane % 4 * 4, 4);
        }
      }
    },
    true};

const Operation ldmatrixTransposedOperation = {
    "ldmatrixTransposed",
    [](void* const* offers, unsigned) {
      checkRows(offers);
      for (int lane = 0; lane < LANES; lane++) {
        uint32_t* const x = static_cast<Rows*>(offers[lane])->x;
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
          uint16_t pair[2];
          for (int j = 0; j < 2; j++) {
            std::memcpy(pair + j, row(offers, 8 * i + 2 * t + j) + 2 * g, 2);
          }
          x[i] = pair[0] | (uint32_t)pair[1] << 16;
        }
      }
    },
    true};

void load(const Operation& operation, uint32_t* x, const void* row, Here line, const void* code) {
  const Inside inside(operation.name);
  if ((uintptr_t)row % 16 != 0) {
    fail(std::string(operation.name) + " at " + text(line) + ": an address is no multiple of 16");
  }
  if (!inside->isShared(row, 16)) {
    fail(std::string(operation.name) + " at " + text(line) + ": an address is not shared memory");
  }
  Rows mine = {x, static_cast<const char*>(row), code};
  inside->gather(operation, 0xffffffff, &mine, line);
}

} // namespace
} // namespace emulator

using emulator::Here;

void mma(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Here line) {
  emulator::Product mine = {c, a, b};
  emulator::Inside("mma")->gather(emulator::mmaOperation, 0xffffffff, &mine, line);
}

void mmaTf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Here line) {
  emulator::Product mine = {c, a, b};
  emulator::Inside("mmaTf32")->gather(emulator::mmaTf32Operation, 0xffffffff, &mine, line);
}

void ldmatrix(uint32_t (&x)[4], const void* row, Here line) {
  emulator::load(emulator::loadOperation, x, row, line, __builtin_return_address(0));
}

void ldmatrixTransposed(uint32_t (&x)[4], const void* row, Here line) {
  emulator::load(emulator::ldmatrixTransposedOperation, x, row, line, __builtin_return_address(0));
}

void copyAsync(void* shared, const void* global, int valid) {
  emulator::Inside("copyAsync")->copy(shared, global, valid, __builtin_return_address(0));
}

void commitCopies() { emulator::Inside("commitCopies")->commit(); }

void waitForGroups(int pending) { emulator::Inside("waitForCopies")->waitForGroups(pending); }

} // namespace tinybard::cuda
