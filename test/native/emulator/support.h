// How the emulator's tests say what they expect.
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

/** The message of what f launches; empty: there was none. */
std::string messageOf(const std::function<void()>& f) {
  f();
  const char* const message = lastError();
  pendingError.isSet = false;
  return message ? message : "";
}

/** "values.h:12": the line of these pages that ends in "// planted: name". */
std::string planted(const std::string& name) {
  const std::string mark = "// planted: " + name, here = __FILE__;
  for (const char* const page : {"values.h", "mistakes.h"}) {
    std::ifstream lines(here.substr(0, here.rfind('/') + 1) + page);
    std::string line;
    for (int number = 1; std::getline(lines, line); number++) {
      const size_t at = line.rfind(mark);
      if (at != std::string::npos && at + mark.size() == line.size()) {
        return page + (":" + std::to_string(number));
      }
    }
  }
  return "no line is marked " + name;
}

/** Runs the twins of a kernel: the wrong one must be reported with all of `parts`. */
void expectFound(const std::string& name, const std::function<void()>& right,
                 const std::function<void()>& wrong, const std::vector<std::string>& parts) {
  const std::string silence = messageOf(right), message = messageOf(wrong);
  bool hasAll = true;
  for (const std::string& part : parts) hasAll &= message.find(part) != std::string::npos;
  expect(name + ": the correct twin is silent", silence.empty(), silence);
  expect(name + ": found", hasAll, message.empty() ? "silence" : message);
}

/** A buffer of the device with a copy on the host. */
template <class T>
struct Buffer {
  std::vector<T> host;
  T* device;
  explicit Buffer(size_t n, T x = {}) : host(n, x), device((T*)allocate(n * sizeof(T))) { put(); }
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
