// Compares each NEON kernel with the scalar kernel on random inputs at odd sizes, also with matmuls
// in bf16, which the scalar kernels do in software. scripts/neon.mjs cross-compiles it and runs it
// in qemu. Prints `N passed, N failed`.

#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/table.h"
#include "arguments/slot.h"

namespace tinybard {

namespace scalar { extern const Table table; }
namespace neon { extern const Table table; }
namespace scalar_bf16 { extern const Bf16Kernels bf16; }
namespace neon_bf16 { extern const Bf16Kernels bf16; }

using F = f32; // as on cpu
using W = word;

namespace {

/** Random arguments of one call, determined by the seed. */
class Case {
 public:
  /** With `isBf16`, there are no subnormal numbers, which the instructions take for 0. */
  Case(unsigned seed, bool isBf16)
      : random(seed), hasSpecialValues(seed % 3 == 2), specialValues(isBf16 ? 5 : 6) {}

  std::deque<std::vector<float>> floats; // the contents of all buffers
  std::deque<std::vector<i32>> integers;

  /** Returns all arguments, buffers first. */
  std::vector<Slot> slots() const {
    std::vector<Slot> all = buffers;
    all.insert(all.end(), numbers.begin(), numbers.end());
    return all;
  }

  int64_t size(const std::string& name) {
    constexpr int64_t sample[] = {1, 2, 3, 4, 5, 7, 9, 13, 16, 17, 21, 33, 34, 70};
    int64_t x = sample[random() % 14];
    if (name == "start") x = sizes["n"] / 3;
    if (name == "count") x = (sizes["n"] + 1) / 2;
    if (name == "capacity") x += sizes["T"];
    if (name == "aStep") x = sizes["M"] * sizes["K"];
    if (name == "bStep") x = random() % 2 * sizes["K"] * sizes["N"];
    if (name == "bits") x = random() % 2 ? 8 : 4;
    if (name == "groups") x = random() % 2 ? 1 : (sizes[sizes.count("K") ? "K" : "C"] + 31) / 32;
    if (name == "T" && sizes.count("n")) x = sizes["n"] / 2; // shorter than the n tokens
    if (name == "B" || name == "H" || name == "heads") x = x % 3 + 1;
    return sizes[name] = numbers.emplace_back().integer = x;
  }
  int64_t integer() { return numbers.emplace_back().integer = random() % 4; }
  int64_t real(const std::string& name) {
    return (int64_t)(numbers.emplace_back().real = name == "p" ? 0.25 : 0.5);
  }
  bool flag() { return numbers.emplace_back().flag = random() % 2; }

  template <class T>
  void buffer(const std::string& name, int64_t length) {
    Slot& slot = buffers.emplace_back();
    if constexpr (std::is_same_v<T, i32>) slot.pointer = newIntegers(name, length);
    else slot.pointer = newFloats(name, length);
    slot.either = {slot.pointer, Type::f32};
  }
  void list(const std::string& name, bool isScalar) {
    static const int64_t lengths[] = {17, 1, 130, 66};
    static const int64_t ones[] = {1, 1, 1, 1};
    auto& list = pointers.emplace_back();
    for (int i = 0; i < 4; i++) list.push_back(newFloats(name, isScalar ? 1 : lengths[i]));
    buffers.emplace_back().list = {list.data(), isScalar ? ones : lengths, 4};
  }
  void noList() { buffers.emplace_back().list = {nullptr, nullptr, 0}; }

 private:
  float* newFloats(const std::string& name, int64_t length) {
    static const std::set<std::string> positive = {"rstd", "lse", "count", "total", "v", "t", "lr"};
    std::uniform_real_distribution<float> distribution(positive.count(name) ? 0.5f : -2, 2);
    auto& data = floats.emplace_back();
    for (int64_t i = 0; i <= length; i++) // one past the end, which no kernel may change
      data.push_back(name == "foundInf" ? 0 : distribution(random));
    static const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-40f};
    const bool isFinite = positive.count(name) || name == "foundInf" || name == "scale";
    if (hasSpecialValues && !isFinite && length > 0)
      for (int i = 0; i < 3; i++) data[random() % length] = special[random() % specialValues];
    return data.data();
  }
  i32* newIntegers(const std::string& name, int64_t length) {
    int64_t bound = sizes.count("n") ? sizes["n"] : 9;
    if (name == "length") bound = sizes["capacity"] - sizes["T"] + 1;
    if (name == "idx") bound = sizes["V"];
    auto& data = integers.emplace_back();
    for (int64_t i = 0; i <= length; i++)
      data.push_back((i32)(name == "w" ? random() : random() % bound)); // w: packed weights
    return data.data();
  }

  std::mt19937 random;
  bool hasSpecialValues;
  unsigned specialValues;
  std::map<std::string, int64_t> sizes;
  std::vector<Slot> buffers, numbers;
  std::deque<std::vector<float*>> pointers;
};

/** Returns true if all buffers are equal within a tolerance; NaN and infinities exactly. */
bool areClose(const Case& a, const Case& b, float tolerance) {
  for (size_t i = 0; i < a.floats.size(); i++) {
    const auto& x = a.floats[i];
    const auto& y = b.floats[i];
    float scale = 1e-6f;
    for (float value : y)
      if (std::isfinite(value)) scale = std::fmax(scale, std::fabs(value));
    for (size_t j = 0; j < x.size(); j++) {
      const bool areSame = x[j] == y[j] || (x[j] != x[j] && y[j] != y[j]);
      if (!areSame && !(std::fabs(x[j] - y[j]) <= tolerance * scale)) return false;
    }
  }
  return a.integers == b.integers;
}

#define NUMBERS(...) [[maybe_unused]] const int64_t __VA_ARGS__;
#define NO_NUMBERS
#define SIZE(name) name = c.size(#name)
#define INTEGER(name) name = c.integer()
#define REAL(name) name = c.real(#name)
#define FLAG(name) name = c.flag()
#define BUFFERS(...) __VA_ARGS__
#define IN(T, name, length) c.buffer<T>(#name, length)
#define OUT IN
#define INOUT IN
#define IN_OPT IN
#define OUT_OPT IN
#define IN_LIST(T, name) c.list(#name, false)
#define INOUT_LIST IN_LIST
#define OUT_LIST_OPT(T, name) c.noList()
#define INOUT_SCALAR_LIST(T, name) c.list(#name, true)

struct Entry {
  const char* name;
  void (*prepare)(Case&);
};
#define KERNEL(name, buffers, numbers) {#name, [](Case& c) { numbers buffers; }},
const Entry entries[] = {
#include "kernels.def"
};

/** Compares all kernels; returns the number of those that differ. */
int compareKernels(bool isBf16, int* passed) {
  int failed = 0;
  for (size_t i = 0; i < std::size(entries); i++) {
    const Entry& entry = entries[i];
    const std::string name = entry.name;
    // bf16: a difference in the last bit of a probability can round it to the next number
    const bool isAttention = name.find("ttention") != std::string::npos;
    const float tolerance = isBf16 && isAttention ? 4e-3f : 1e-5f;
    bool isCorrect = true;
    for (unsigned seed = 0; seed < 50 && isCorrect; seed++) {
      Case a(seed, isBf16);
      Case b(seed, isBf16);
      entry.prepare(a);
      entry.prepare(b);
      setBf16Kernels(isBf16 ? &neon_bf16::bf16 : nullptr);
      neon::table.kernels[i].run(a.slots().data());
      setBf16Kernels(isBf16 ? &scalar_bf16::bf16 : nullptr);
      scalar::table.kernels[i].run(b.slots().data());
      isCorrect = !pendingError.isSet && areClose(a, b, tolerance);
      if (!isCorrect)
        std::printf("%s%s: NEON differs, seed %u\n", entry.name, isBf16 ? " in bf16" : "", seed);
    }
    if (isCorrect) ++*passed;
    else failed++;
  }
  return failed;
}

} // namespace
} // namespace tinybard

int main() {
  int passed = 0;
  int failed = tinybard::compareKernels(false, &passed);
  failed += tinybard::compareKernels(true, &passed);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
