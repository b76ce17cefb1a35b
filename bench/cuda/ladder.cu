// Times the steps of the GEMM ladder (bench/ladder) on a GPU for M = N = K = 4096, and compares
// sampled elements of each result with sums in double precision. Prints one line of JSON per step.
// usage: npm run bench:cuda -- ladder

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "../ladder/ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int64_t N = 4096;
constexpr int64_t ELEMENTS = N * N;
constexpr int SAMPLES = 200; // elements of c that are checked
constexpr int ROUNDS = 7;    // timed runs, after one warm-up

/** Random bf16 numbers in [-1, 1): as floats on the host, as floats and as bf16 on the device. */
struct Matrix {
  std::vector<float> host = std::vector<float>(ELEMENTS);
  f32* floats = static_cast<f32*>(allocate(ELEMENTS * sizeof(f32)));
  bf16* bf16s = static_cast<bf16*>(allocate(ELEMENTS * sizeof(bf16)));

  explicit Matrix(int seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<bf16> rounded(ELEMENTS);
    for (int64_t i = 0; i < ELEMENTS; i++) {
      rounded[i] = __float2bfloat16(uniform(generator));
      host[i] = __bfloat162float(rounded[i]);
    }
    copyToDevice(floats, host.data(), ELEMENTS * sizeof(f32));
    copyToDevice(bf16s, rounded.data(), ELEMENTS * sizeof(bf16));
  }
};

/** Returns the largest error of the sampled elements of c; 1e30 if any is not finite. */
double maxError(const f32* c, const Matrix& a, const Matrix& b) {
  std::vector<float> result(ELEMENTS);
  copyToHost(result.data(), c, ELEMENTS * sizeof(f32));
  std::mt19937 generator(3);
  double worst = 0;
  for (int i = 0; i < SAMPLES; i++) {
    const int64_t m = generator() % N;
    const int64_t n = generator() % N;
    double sum = 0;
    for (int64_t k = 0; k < N; k++) sum += (double)a.host[m * N + k] * b.host[k * N + n];
    const double error = std::fabs(result[m * N + n] - sum);
    if (!(error <= worst)) worst = std::isfinite(error) ? error : 1e30;
  }
  return worst;
}

/** Times a step, checks its result and prints both. */
template <class Work>
void report(int number, f32* c, const Matrix& a, const Matrix& b, const Work& step) {
  copyToDevice(c, std::vector<float>(ELEMENTS, NAN).data(), ELEMENTS * sizeof(f32));
  std::vector<float> times;
  for (int round = 0; round <= ROUNDS; round++) times.push_back(elapsedMilliseconds(step));
  std::sort(times.begin() + 1, times.end()); // without the warm-up
  const double ms = times[1 + ROUNDS / 2];   // the median
  const double tflops = 2.0 * N * N * N / ms / 1e9;
  const double error = maxError(c, a, b);
  const char* const message = lastError();
  if (message) std::fprintf(stderr, "step %d: %s\n", number, message);
  std::printf("{\"step\":%d,\"ms\":%g,\"tflops\":%g,\"error\":%g}\n", number, ms, tflops, error);
  std::fflush(stdout);
}

} // namespace
} // namespace tinybard::cuda

int main() {
  using namespace tinybard::cuda;
  if (const char* reason = unavailableReason()) {
    std::fprintf(stderr, "%s\n", reason);
    return 1;
  }
  const Matrix a(1);
  const Matrix b(2);
  tinybard::f32* const c = static_cast<tinybard::f32*>(allocate(ELEMENTS * sizeof(float)));
  const auto reportF32 = [&](int number, auto step) {
    report(number, c, a, b, [&] { step(a.floats, b.floats, c, N, N, N); });
  };
  reportF32(1, step1);
  reportF32(2, step2);
  reportF32(3, step3);
  reportF32(4, step4);
  reportF32(5, step5);
  reportF32(6, step6);
  report(7, c, a, b, [&] { step7(a.bf16s, b.bf16s, c, N, N, N); });
  report(8, c, a, b, [&] { step8(a.bf16s, b.bf16s, c, N, N, N); });
}
