// Assertions and buffers for the emulator's tests.
#pragma once

#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "../../../native/cuda/device.cuh"

namespace tinybard::cuda {
namespace {

int passed = 0, failed = 0;

void expect(const std::string& name, bool isRight, const std::string& detail = "") {
  isRight ? passed++ : failed++;
  std::printf("%s  %s%s%s\n", isRight ? "ok  " : "FAIL", name.c_str(),
              isRight || detail.empty() ? "" : ": ", isRight ? "" : detail.c_str());
}

/** Returns the error message of the launches of f, or an empty string. */
std::string errorOf(const std::function<void()>& f) {
  f();
  const char* const message = lastError();
  pendingError.isSet = false;
  return message ? message : "";
}

/** Returns "values.h:12": the line of these files that ends in "// planted: name". */
std::string planted(const std::string& name) {
  const std::string mark = "// planted: " + name;
  const std::string folder = std::string(__FILE__).substr(0, std::string(__FILE__).rfind('/') + 1);
  for (const char* const file : {"values.h", "mistakes.h"}) {
    std::ifstream lines(folder + file);
    std::string line;
    for (int number = 1; std::getline(lines, line); number++) {
      const size_t at = line.rfind(mark);
      if (at != std::string::npos && at + mark.size() == line.size()) {
        return file + (":" + std::to_string(number));
      }
    }
  }
  return "no line is marked " + name;
}

/** Runs both versions of a kernel: the report of the wrong one must contain all of `parts`. */
void expectFound(const std::string& name, const std::function<void()>& right,
                 const std::function<void()>& wrong, const std::vector<std::string>& parts) {
  const std::string none = errorOf(right);
  const std::string message = errorOf(wrong);
  bool hasAll = true;
  for (const std::string& part : parts) hasAll &= message.find(part) != std::string::npos;
  expect(name + ": no report for the correct version", none.empty(), none);
  expect(name + ": reported", hasAll, message.empty() ? "no report" : message);
}

/** A device buffer with a host copy. */
template <class T>
struct Buffer {
  std::vector<T> host;
  T* device;
  explicit Buffer(size_t n, T x = {}) : host(n, x), device((T*)allocate(n * sizeof(T))) {
    put();
  }
  ~Buffer() { release(device); }
  void put() { copyToDevice(device, host.data(), host.size() * sizeof(T)); }
  const std::vector<T>& get() {
    copyToHost(host.data(), device, host.size() * sizeof(T));
    return host;
  }
};

uint32_t state = 1;
float randomFloat() { return (int)(state = state * 1664525 + 1013904223) / 2147483648.0f; }

} // namespace
} // namespace tinybard::cuda
