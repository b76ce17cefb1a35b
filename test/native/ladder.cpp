// Compares each step of the matmul ladder (bench/ladder/) with a triple loop, on the emulator.
// Compiled by g++ with TINYBARD_EMULATOR, and linked with bench/ladder/*.cu, native/emulator/*.cpp,
// native/cuda/resources.cpp and native/kernel.cpp. Prints `N passed, N failed`.

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "../../bench/ladder/ladder.h"

namespace tinybard::cuda {
namespace {

int passed = 0;
int failed = 0;
std::mt19937 generator(1);

/** A random matrix on the device, with a host copy. */
template <class F>
struct Matrix {
  std::vector<F> host;
  F* device;

  explicit Matrix(int64_t elements) : host(elements) {
    std::uniform_real_distribution<float> distribution(-1, 1);
    for (F& x : host) x = roundTo<F>(distribution(generator));
    device = static_cast<F*>(allocate(bytes() + 16)); // not empty without elements either
    copyToDevice(device, host.data(), bytes());
  }
  ~Matrix() { release(device); }
  void read() { copyToHost(host.data(), device, bytes()); }
  size_t bytes() const { return host.size() * sizeof(F); }
};

template <class F>
void check(int number, void (*step)(const F*, const F*, f32*, int64_t, int64_t, int64_t), int64_t M,
           int64_t N, int64_t K) {
  Matrix<F> a(M * K);
  Matrix<F> b(K * N);
  Matrix<f32> c(M * N);
  step(a.device, b.device, c.device, M, N, K);
  c.read();
  double maxError = 0;
  for (int64_t m = 0; m < M; m++) {
    for (int64_t n = 0; n < N; n++) {
      double sum = 0;
      for (int64_t k = 0; k < K; k++)
        sum += (double)toFloat(a.host[m * K + k]) * toFloat(b.host[k * N + n]);
      const double error = std::fabs(c.host[m * N + n] - sum);
      if (!(error <= maxError)) maxError = error; // also if error is NaN
    }
  }
  const char* const message = lastError();
  if (!message && maxError <= 2e-6 * std::sqrt(K + 1.0)) {
    passed++;
  } else {
    failed++;
    std::printf("step %d, M %lld, N %lld, K %lld: error %g %s\n", number, (long long)M,
                (long long)N, (long long)K, maxError, message ? message : "");
  }
}

} // namespace
} // namespace tinybard::cuda

int main() {
  using namespace tinybard::cuda;
  struct Sizes {
    int64_t M, N, K;
  };
  for (const auto [M, N, K] : {Sizes{1, 1, 1}, {7, 17, 15}, {33, 65, 64}, {129, 130, 9}, {3, 5, 0},
                               {64, 64, 64}, {200, 72, 40}, {1, 136, 264}, {130, 128, 128}}) {
    check(1, step1, M, N, K);
    check(2, step2, M, N, K);
    check(3, step3, M, N, K);
    check(4, step4, M, N, K);
    check(5, step5, M, N, K);
    if (N % 4 == 0 && K % 4 == 0) check(6, step6, M, N, K);
    check(7, step7, M, N, K);
    if (N % 8 == 0 && K % 8 == 0) check(8, step8, M, N, K);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
