// Implements device.cuh for the emulator: device memory is one reserved address range, the stream
// executes every call at once, and a graph is a list of closures.

#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "../cuda/device.cuh"
#include "check.h"
#include "report.h"
#include "runtime.h"

namespace tinybard::cuda {

struct Graph {
  std::vector<std::function<void()>> steps;
  bool isValid = true; // false after an operation that no graph can do
};

namespace {

constexpr size_t PAGE = 4096;

/** Device memory. Freed blocks are reused for the same size; an unused page separates blocks. */
struct Memory {
  std::mutex mutex;
  char* base = nullptr;
  char* next = nullptr;
  char* end = nullptr;
  std::unordered_map<void*, size_t> sizes;
  std::unordered_map<size_t, std::vector<char*>> free; // by size

  Memory() {
    for (size_t room = (size_t)1 << (emulator::checking ? 34 : 36); room >= (size_t)1 << 30;
         room /= 2) {
      void* const found = mmap(nullptr, room, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (found == MAP_FAILED) continue;
      base = static_cast<char*>(found);
      if (!emulator::checking || emulator::check::setMemory(base, room)) {
        next = base + PAGE;
        end = base + room;
        return;
      }
      munmap(found, room);
    }
  }

  char* allocate(size_t bytes) {
    const size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
    std::lock_guard<std::mutex> lock(mutex);
    char* allocated;
    std::vector<char*>& reusable = free[room];
    if (!reusable.empty()) {
      allocated = reusable.back();
      reusable.pop_back();
    } else {
      if (room + PAGE > (size_t)(end - next)) return nullptr;
      allocated = next;
      next += room + PAGE;
    }
    sizes[allocated] = room;
    std::memset(allocated, 0xe5, bytes); // device memory is not zeroed either
    if (emulator::checking) emulator::check::addBuffer(allocated, bytes);
    return allocated;
  }

  void release(void* memory) {
    std::lock_guard<std::mutex> lock(mutex);
    const auto found = sizes.find(memory);
    if (found == sizes.end()) return emulator::report("release: not device memory");
    madvise(memory, found->second, MADV_DONTNEED);
    if (emulator::checking) emulator::check::removeBuffer(memory);
    free[found->second].push_back(static_cast<char*>(memory));
    sizes.erase(found);
  }
};

Memory& memory() {
  static Memory& instance = *new Memory;
  return instance;
}

std::unique_ptr<Graph> capturing;
int64_t launched = 0;
std::string libraryError; // of a library that added work to the stream; empty: none

/** Reports an operation that is impossible during a capture; returns false if there is none. */
bool failsInCapture(const char* operation) {
  if (!capturing) return false;
  capturing->isValid = false;
  kernelError("%s is not possible while a graph is captured", operation);
  return true;
}

} // namespace

void* allocate(size_t bytes) {
  if (failsInCapture("an allocation")) return nullptr;
  return memory().allocate(bytes == 0 ? 1 : bytes);
}

void release(void* freed) {
  if (freed) memory().release(freed);
}

void copyToDevice(void* to, const void* from, size_t bytes) {
  if (!capturing) {
    if (bytes > 0) std::memcpy(to, from, bytes);
    return;
  }
  const char* const first = static_cast<const char*>(from);
  capturing->steps.push_back([to, copy = std::vector<char>(first, first + bytes)] {
    if (!copy.empty()) std::memcpy(to, copy.data(), copy.size());
  });
}

void copyToHost(void* to, const void* from, size_t bytes) {
  if (!failsInCapture("a copy to the host") && bytes > 0) std::memcpy(to, from, bytes);
}

void synchronize() { failsInCapture("a synchronization"); }

const char* lastError() {
  static std::string message;
  if (const char* const reported = emulator::takeMessage()) return reported;
  message.swap(libraryError);
  libraryError.clear();
  return message.empty() ? nullptr : message.c_str();
}

void deviceError(const char* message) {
  if (libraryError.empty()) libraryError = message;
}

void checkWhileWaiting(const char* (*)()) {} // the host never waits for the device

void enqueueLibraryCall(const std::function<void(CUstream_st*)>& call) {
  if (capturing) capturing->steps.push_back([call] { call(nullptr); });
  else call(nullptr);
}

int64_t launchCount() { return launched; }

int multiprocessors() { return 4; }

void afterLaunch() {
  launched++;
  const std::string failure = emulator::failure();
  if (!failure.empty()) kernelError("%s", failure.c_str());
}

// ---- graphs

void beginCapture() { capturing = std::make_unique<Graph>(); }

bool isCapturing() { return capturing != nullptr; }

Graph* endCapture() {
  std::unique_ptr<Graph> graph = std::move(capturing);
  return graph && graph->isValid ? graph.release() : nullptr;
}

void launchGraph(Graph* graph) {
  for (const auto& step : graph->steps) step();
}

void destroyGraph(Graph* graph) { delete graph; }

void emulator::limitBuffer(const void* begin, size_t bytes) {
  if (!checking) return;
  if (capturing) capturing->steps.push_back([=] { check::limitBuffer(begin, bytes); });
  else check::limitBuffer(begin, bytes);
}

void emulator::submit(Launch&& launch) {
  if (pendingError.isSet || (size_t)launch.grid.x * launch.grid.y * launch.grid.z == 0) return;
  if (capturing) {
    capturing->steps.push_back([launch] {
      runNow(launch);
      launched++;
    });
  } else {
    runNow(launch);
    afterLaunch();
  }
}

} // namespace tinybard::cuda
