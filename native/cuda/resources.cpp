// What launchers may ask for, on top of allocate() and copyToDevice() alone: so it is the same for
// the device and for the emulator. Nothing is ever given back, for a graph may hold it. All of it
// is for one thread at a time, as the stream is.

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.cuh"

namespace tinybard::cuda {
namespace {

/** Memory of the device that stays; null, after refusing, if there is none. */
char* keep(size_t bytes) {
  char* const memory = static_cast<char*>(allocate(bytes));
  if (!memory && !pendingError.isSet) {
    kernelError("out of memory: the device has no %lld bytes to work in", (long long)bytes);
  }
  return memory;
}

/** Memory of zeros that stays. */
char* keepZeros(size_t bytes) {
  char* const memory = keep(bytes);
  if (memory) copyToDevice(memory, std::vector<char>(bytes).data(), bytes);
  return memory;
}

/** Pieces for tables, cut from larger ones: an allocation of its own for each would take longer. */
char* pieceForTable(size_t bytes) {
  constexpr size_t CHUNK = 64 * 1024, ALIGNMENT = 256;
  static char* next = nullptr;
  static size_t left = 0;
  const size_t room = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (room > CHUNK / 4) return keep(room);
  if (left < room) {
    next = keep(CHUNK);
    left = next ? CHUNK : 0;
    if (!next) return nullptr;
  }
  char* const piece = next;
  next += room;
  left -= room;
  return piece;
}

} // namespace

void* workspace(size_t bytes) {
  static void* memory = nullptr;
  static size_t size = 0;
  if (bytes > size || !memory) {
    const size_t larger = std::max({bytes, size + size / 4, (size_t)1 << 20});
    void* const grown = keep(larger);
    if (!grown) return nullptr;
    memory = grown;
    size = larger;
  }
#ifdef TINYBARD_EMULATOR
  emulator::limitBuffer(memory, bytes); // the rest is not this launcher's
#endif
  return memory;
}

unsigned* counters(int64_t count) {
  static char* memory = nullptr;
  static int64_t size = 0;
  if (count <= size) return reinterpret_cast<unsigned*>(memory);
  const int64_t larger = count < 1024 ? 1024 : 2 * count;
  char* const grown = keepZeros((size_t)larger * sizeof(unsigned));
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
  if (isCapturing()) { // the copy would wait for the graph to run
    kernelError("a table was asked for while a graph is captured, and had not been before");
    return nullptr;
  }
  char* const table = pieceForTable(count == 0 ? 1 : count);
  if (!table) return nullptr;
  if (count > 0) copyToDevice(table, bytes, count);
  tables.emplace(key, table);
  return table;
}

IndexError* deviceIndexError() {
  static char* memory = nullptr;
  if (!memory) memory = keepZeros(sizeof(IndexError));
  return reinterpret_cast<IndexError*>(memory);
}

} // namespace tinybard::cuda
