// Collective calls through MPI. The order in which MPI_Allreduce adds is the library's choice, and
// so are its bits; here each rank adds one part of the elements of all ranks, in their order.

#include "mpi.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "../napi/process_group.h"
#include "../watchdog.h"
#include "mpi_library.h"

namespace tinybard {
namespace mpi {
namespace {

constexpr int64_t PART = 1 << 15;               // floats that a rank adds at once
constexpr size_t MAX_MESSAGE = (size_t)1 << 30; // bytes; counts of MPI are ints

/** The connection of this process. */
struct Connection {
  Library library;
  bool isOpen = false;
  int size = 1;
  std::thread::id thread; // MPI_THREAD_FUNNELED: the only one that calls MPI
  std::vector<float> packed; // [size, part]
  std::vector<float> parts;  // [size, part], of all ranks
  std::vector<float> sums;   // [part]
};

/** Never destroyed: the exit hook of the process may still use it. */
Connection& connection() {
  static Connection& instance = *new Connection;
  return instance;
}

/** Calls a function of MPI, which may wait for other ranks. Returns its error message. */
template <class F>
std::string call(const F& f) {
  Connection& c = connection();
  if (!c.isOpen) return "the process is not in a group";
  if (std::this_thread::get_id() != c.thread) return "only the thread that joined can call MPI";
  const watchdog::Wait wait;
  const int code = f(c.library, c.library.constants.world);
  return code == SUCCESS ? "" : c.library.version() + ": " + c.library.describe(code);
}

/** A position in a list of buffers, which moves through their elements. */
struct Cursor {
  const List& list;
  int64_t tensor = 0;
  int64_t offset = 0; // in the tensor

  /** Moves by up to `count` elements; calls f(elements, position, n) for each stretch of them.
   *  Returns how many there were. */
  template <class F>
  int64_t advance(int64_t count, const F& f) {
    int64_t position = 0;
    while (position < count && tensor < list.count) {
      const int64_t n = std::min(count - position, list.lengths[tensor] - offset);
      if (n > 0) f(list[tensor] + offset, position, n);
      position += n;
      offset += n;
      if (offset < list.lengths[tensor]) break;
      tensor++;
      offset = 0;
    }
    return position;
  }
};

/** sums [part] = parts [size, part] added over the ranks, in their order. */
void addParts(const float* parts, int64_t size, int64_t part, float* __restrict sums) {
  std::copy_n(parts, part, sums);
  for (int64_t rank = 1; rank < size; rank++) {
    const float* const other = parts + rank * part;
    for (int64_t i = 0; i < part; i++) sums[i] += other[i];
  }
}

/** Sums the first n elements of `packed` over all ranks. Returns an error message. */
std::string sumPacked(Connection& c, int64_t n) {
  const int64_t part = (n + c.size - 1) / c.size;
  std::fill(c.packed.begin() + n, c.packed.begin() + part * c.size, 0.0f);
  const std::string error = call([&](const Library& mpi, Handle world) {
    const Handle f32 = mpi.constants.f32;
    return mpi.Alltoall(c.packed.data(), (int)part, f32, c.parts.data(), (int)part, f32, world);
  });
  if (!error.empty()) return error;
  addParts(c.parts.data(), c.size, part, c.sums.data());
  return call([&](const Library& mpi, Handle world) {
    const Handle f32 = mpi.constants.f32;
    return mpi.Allgather(c.sums.data(), (int)part, f32, c.packed.data(), (int)part, f32, world);
  });
}

} // namespace

std::string open(const char* library) {
  Connection& c = connection();
  if (c.isOpen) return "the process has already joined";
  const std::string error = c.library.open(library);
  if (!error.empty()) c.library = Library{};
  return error;
}

std::string version() { return connection().library.version(); }

std::string join(int expectedSize, int* rank) {
  Connection& c = connection();
  if (c.isOpen) return "the process has already joined";
  const Library& mpi = c.library;
  if (!mpi.Initialized) return "no MPI library is open";
  if (expectedSize < 2) return "the number of ranks is below 2";
  int isInitialized = 0;
  mpi.Initialized(&isInitialized);
  if (isInitialized) return "MPI has already been initialized in this process";
  {
    const watchdog::Wait wait;
    int provided = 0;
    const int code = mpi.Init_thread(nullptr, nullptr, THREAD_FUNNELED, &provided);
    if (code != SUCCESS) return mpi.version() + ": " + mpi.describe(code);
  }
  const Handle world = mpi.constants.world;
  int size = 1;
  mpi.Comm_set_errhandler(world, mpi.constants.errorsReturn);
  mpi.Comm_rank(world, rank);
  mpi.Comm_size(world, &size);
  if (size != expectedSize) {
    mpi.Finalize();
    return mpi.version() + " sees " + std::to_string(size) +
           (size == 1 ? " process" : " processes") + ": it is not the library of the launcher";
  }
  c.size = size;
  c.thread = std::this_thread::get_id();
  c.isOpen = true;
  return "";
}

void allReduce(List x) {
  Connection& c = connection();
  if (c.size == 1) return;
  const int64_t chunk = PART * c.size;
  c.packed.resize((size_t)chunk); // before anything is sent: if it fails, nothing has happened
  c.parts.resize((size_t)chunk);
  c.sums.resize(PART);
  Cursor from{x};
  Cursor to{x};
  for (;;) {
    const int64_t n = from.advance(chunk, [&](const float* data, int64_t position, int64_t count) {
      std::copy_n(data, count, c.packed.data() + position);
    });
    if (n == 0) return;
    const std::string error = sumPacked(c, n);
    if (!error.empty()) return kernelError("allReduce: %s", error.c_str());
    to.advance(n, [&](float* data, int64_t position, int64_t count) {
      std::copy_n(c.packed.data() + position, count, data);
    });
  }
}

} // namespace mpi

namespace group {

int size() { return mpi::connection().size; }

std::string broadcast(void* bytes, size_t count, int root) {
  for (size_t begin = 0; begin < count; begin += mpi::MAX_MESSAGE) {
    const int n = (int)std::min(mpi::MAX_MESSAGE, count - begin);
    const std::string error = mpi::call([&](const mpi::Library& mpi, mpi::Handle world) {
      return mpi.Bcast(static_cast<char*>(bytes) + begin, n, mpi.constants.byte, root, world);
    });
    if (!error.empty()) return error;
  }
  return "";
}

std::string allGather(const void* own, void* all, size_t count) {
  return mpi::call([&](const mpi::Library& mpi, mpi::Handle world) {
    const mpi::Handle byte = mpi.constants.byte;
    return mpi.Allgather(own, (int)count, byte, all, (int)count, byte, world);
  });
}

void abort(int exitCode) {
  mpi::Connection& c = mpi::connection();
  if (!c.isOpen) return;
  c.isOpen = false;
  c.library.Abort(c.library.constants.world, exitCode);
}

std::string leave() {
  const std::string error = mpi::call([](const mpi::Library& mpi, mpi::Handle) {
    return mpi.Finalize();
  });
  mpi::connection().isOpen = false;
  mpi::connection().size = 1;
  return error;
}

} // namespace group
} // namespace tinybard
