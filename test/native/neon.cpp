// Holds each NEON kernel to its scalar twin, at odd sizes, on random numbers: for machines that have
// no NEON, compiled for one and run in an emulator by scripts/neon.mjs. Prints `N passed, N failed`.

#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/table.h"
#include "slot.h"

namespace tinybard {

namespace scalar { extern const Table table; }
namespace neon { extern const Table table; }

using F = f32; // as on cpu
using W = word;

namespace {

/** The arguments of one call, the same for the same seed. */
class Case {
 public:
  Case(unsigned seed) : random(seed) {}

  std::deque<std::vector<float>> floats; // the content of all buffers
  std::deque<std::vector<i32>> integers;

  /** All arguments, buffers first. */
  std::vector<Slot> slots() const {
    std::vector<Slot> all = buffers;
    all.insert(all.end(), numbers.begin(), numbers.end());
    return all;
  }

  int64_t size(const std::string& name) {
    constexpr int64_t some[] = {1, 2, 3, 4, 5, 7, 9, 13, 16, 17, 21, 33, 34, 70};
    int64_t x = some[random() % 14];
    if (name == "start") x = sizes["n"] / 3;
    if (name == "count") x = (sizes["n"] + 1) / 2;
    if (name == "capacity") x += sizes["T"];
    if (name == "aStep") x = sizes["M"] * sizes["K"];
    if (name == "bStep") x = random() % 2 * sizes["K"] * sizes["N"];
    if (name == "bits") x = random() % 2 ? 8 : 4;
    if (name == "groups") x = random() % 2 ? 1 : (sizes[sizes.count("K") ? "K" : "C"] + 31) / 32;
    if (name == "T" && sizes.count("n")) x = sizes["n"] / 2; // a piece of n tokens
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
    static const int64_t some[] = {17, 1, 130, 66}, ones[] = {1, 1, 1, 1};
    auto& to = pointers.emplace_back();
    for (int i = 0; i < 4; i++) to.push_back(newFloats(name, isScalar ? 1 : some[i]));
    buffers.emplace_back().list = {to.data(), isScalar ? ones : some, 4};
  }
  void noList() { buffers.emplace_back().list = {nullptr, nullptr, 0}; }

 private:
  float* newFloats(const std::string& name, int64_t length) {
    const bool isPositive = std::string(" rstd lse count total v t lr ").find(" " + name + " ") < 99;
    std::uniform_real_distribution<float> draw(isPositive ? 0.5f : -2, 2);
    auto& data = floats.emplace_back();
    for (int64_t i = 0; i <= length; i++) // one more, not to be touched
      data.push_back(name == "foundInf" ? 0 : draw(random));
    return data.data();
  }
  i32* newIntegers(const std::string& name, int64_t length) {
    int64_t below = sizes.count("n") ? sizes["n"] : 9;
    if (name == "length") below = sizes["capacity"] - sizes["T"] + 1;
    if (name == "idx") below = sizes["V"];
    auto& data = integers.emplace_back();
    for (int64_t i = 0; i <= length; i++)
      data.push_back((i32)(name == "w" ? random() : random() % below)); // w: of small numbers
    return data.data();
  }

  std::mt19937 random;
  std::map<std::string, int64_t> sizes;
  std::vector<Slot> buffers, numbers;
  std::deque<std::vector<float*>> pointers;
};

/** Do they differ by no more than rounding? */
bool areAlike(const Case& a, const Case& b) {
  for (size_t i = 0; i < a.floats.size(); i++) {
    const auto &x = a.floats[i], &y = b.floats[i];
    float most = 1e-6f;
    for (float each : y) most = std::fmax(most, std::fabs(each));
    for (size_t j = 0; j < x.size(); j++) {
      const bool areNan = x[j] != x[j] && y[j] != y[j];
      if (!areNan && !(std::fabs(x[j] - y[j]) <= 1e-5f * most)) return false;
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

} // namespace
} // namespace tinybard

int main() {
  using namespace tinybard;
  int passed = 0, failed = 0;
  for (size_t i = 0; i < std::size(entries); i++) {
    const Entry& entry = entries[i];
    bool isRight = true;
    for (unsigned seed = 0; seed < 50 && isRight; seed++) {
      Case a(seed), b(seed);
      for (Case* each : {&a, &b}) entry.prepare(*each);
      neon::table.kernels[i].run(a.slots().data());
      scalar::table.kernels[i].run(b.slots().data());
      isRight = !pendingError.isSet && areAlike(a, b);
      if (!isRight) std::printf("%s: NEON differs, seed %u\n", entry.name, seed);
    }
    (isRight ? passed : failed)++;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
