// Times the steps of the ladder at 4096 cubed, on a GPU, and holds some elements of each to sums in
// double precision. Prints a line of JSON for each. usage: npm run bench:cuda -- ladder

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "../ladder/ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int64_t N = 4096, ELEMENTS = N * N;
constexpr int SAMPLES = 200, ROUNDS = 7;

/** bf16 numbers from -1 to 1, as they are and as floats, on the host and on the device. */
struct Matrix {
  std::vector<float> host = std::vector<float>(ELEMENTS);
  f32* floats = static_cast<f32*>(allocate(ELEMENTS * sizeof(f32)));
  bf16* halves = static_cast<bf16*>(allocate(ELEMENTS * sizeof(bf16)));

  explicit Matrix(int seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> draw(-1, 1);
    std::vector<bf16> rounded(ELEMENTS);
    for (int64_t i = 0; i < ELEMENTS; i++) {
      rounded[i] = __float2bfloat16(draw(generator));
      host[i] = __bfloat162float(rounded[i]);
    }
    copyToDevice(floats, host.data(), ELEMENTS * sizeof(f32));
    copyToDevice(halves, rounded.data(), ELEMENTS * sizeof(bf16));
  }
};

/** The largest difference of some elements of c from what they should be. */
double errorOf(const f32* c, const Matrix& a, const Matrix& b) {
  std::vector<float> found(ELEMENTS);
  copyToHost(found.data(), c, ELEMENTS * sizeof(f32));
  std::mt19937 generator(3);
  double worst = 0;
  for (int i = 0; i < SAMPLES; i++) {
    const int64_t m = generator() % N, n = generator() % N;
    double sum = 0;
    for (int64_t k = 0; k < N; k++) sum += (double)a.host[m * N + k] * b.host[k * N + n];
    const double error = std::fabs(found[m * N + n] - sum);
    if (!(error <= worst)) worst = std::isfinite(error) ? error : 1e30;
  }
  return worst;
}

template <class Work>
void report(int number, f32* c, const Matrix& a, const Matrix& b, const Work& step) {
  copyToDevice(c, std::vector<float>(ELEMENTS, NAN).data(), ELEMENTS * sizeof(f32));
  std::vector<float> times;
  for (int round = 0; round <= ROUNDS; round++) times.push_back(elapsedMilliseconds(step));
  std::sort(times.begin() + 1, times.end()); // the first one does not count
  const double ms = times[1 + ROUNDS / 2], tflops = 2.0 * N * N * N / ms / 1e9;
  const double error = errorOf(c, a, b);
  const char* const trouble = lastError();
  if (trouble) std::fprintf(stderr, "step %d: %s\n", number, trouble);
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
  const Matrix a(1), b(2);
  tinybard::f32* const c = static_cast<tinybard::f32*>(allocate(ELEMENTS * sizeof(float)));
  const auto floats = [&](int number, auto step) {
    report(number, c, a, b, [&] { step(a.floats, b.floats, c, N, N, N); });
  };
  floats(1, step1);
  floats(2, step2);
  floats(3, step3);
  floats(4, step4);
  floats(5, step5);
  floats(6, step6);
  report(7, c, a, b, [&] { step7(a.halves, b.halves, c, N, N, N); });
  report(8, c, a, b, [&] { step8(a.halves, b.halves, c, N, N, N); });
}
