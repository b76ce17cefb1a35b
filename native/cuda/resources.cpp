// The resources of launchers: workspace, counters, tables and the index error. They are built on
// allocate() and copyToDevice() alone, and so are shared with the emulator. Nothing is ever freed,
// since a graph may refer to it. Like the stream, all of it is for one thread at a time.

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.cuh"

namespace tinybard::cuda {
namespace {

/** Allocates device memory for the life of the process; sets an error and returns null if full. */
char* allocateForever(size_t bytes) {
  char* const memory = static_cast<char*>(allocate(bytes));
  if (!memory && !pendingError.isSet) {
    kernelError("out of memory: cannot allocate %lld bytes of device workspace", (long long)bytes);
  }
  return memory;
}

/** Allocates zeroed device memory for the life of the process. */
char* allocateZeros(size_t bytes) {
  char* const memory = allocateForever(bytes);
  if (memory) copyToDevice(memory, std::vector<char>(bytes).data(), bytes);
  return memory;
}

/** Allocates memory for a table from larger chunks, which is faster than one allocation each. */
char* allocateTable(size_t bytes) {
  constexpr size_t CHUNK = 64 * 1024, ALIGNMENT = 256;
  static char* next = nullptr;
  static size_t bytesLeft = 0;
  const size_t room = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (room > CHUNK / 4) return allocateForever(room);
  if (bytesLeft < room) {
    next = allocateForever(CHUNK);
    bytesLeft = next ? CHUNK : 0;
    if (!next) return nullptr;
  }
  char* const table = next;
  next += room;
  bytesLeft -= room;
  return table;
}

} // namespace

void* workspace(size_t bytes) {
  static void* memory = nullptr;
  static size_t size = 0;
  if (bytes > size || !memory) {
    const size_t larger = std::max({bytes, size + size / 4, (size_t)1 << 20});
    void* const grown = allocateForever(larger);
    if (!grown) return nullptr;
    memory = grown;
    size = larger;
  }
#ifdef TINYBARD_EMULATOR
  emulator::limitBuffer(memory, bytes); // this launcher may not use the rest
#endif
  return memory;
}

unsigned* counters(int64_t count) {
  static char* memory = nullptr;
  static int64_t size = 0;
  if (count <= size) return reinterpret_cast<unsigned*>(memory);
  const int64_t larger = count < 1024 ? 1024 : 2 * count;
  char* const grown = allocateZeros((size_t)larger * sizeof(unsigned));
  if (!grown) return nullptr;
  memory = grown;
  size = larger;
  return reinterpret_cast<unsigned*>(memory);
}

const void* getDeviceTable(const void* bytes, size_t count) {
  static auto& tables = *new std::unordered_map<std::string, void*>;
  const std::string key(static_cast<const char*>(bytes), count);
  const auto found = tables.find(key);
  if (found != tables.end()) return found->second;
  if (isCapturing()) { // the copy would only run with the graph
    kernelError("a new table cannot be uploaded while a graph is captured");
    return nullptr;
  }
  char* const table = allocateTable(count == 0 ? 1 : count);
  if (!table) return nullptr;
  if (count > 0) copyToDevice(table, bytes, count);
  tables.emplace(key, table);
  return table;
}

IndexError* deviceIndexError() {
  static char* memory = nullptr;
  if (!memory) memory = allocateZeros(sizeof(IndexError));
  return reinterpret_cast<IndexError*>(memory);
}

} // namespace tinybard::cuda
