// Collective calls through NCCL. They go through the one stream, so a captured graph contains them;
// bytes of the host travel through a buffer on the device.

#include "nccl.h"

#include <algorithm>
#include <cstring>

#include "../napi/process_group.h"
#include "../watchdog.h"
#include "kernels.h"

namespace tinybard {
namespace cuda {
namespace nccl {
namespace {

constexpr size_t STAGING_BYTES = 4 << 20;

/** The connection of this process. */
struct Connection {
  Functions library;
  bool isOpen = false; // the library
  Comm* comm = nullptr;
  int rank = 0;
  int size = 1;
  char* staging = nullptr; // device memory
};

/** Never destroyed: the exit hook of the process may still use it. */
Connection& connection() {
  static Connection& instance = *new Connection;
  return instance;
}

/** Returns the message of a result code; an empty string for success. */
std::string describe(int result) {
  const Connection& c = connection();
  if (result == SUCCESS || result == IN_PROGRESS) return "";
  const char* const detail = c.library.GetLastError(nullptr);
  const std::string text = c.library.version() + ": " + c.library.GetErrorString(result);
  return detail && *detail ? text + " (" + detail + ")" : text;
}

/** Ends the operations of a broken connection, which would otherwise occupy the device forever. */
std::string abandon(int result) {
  Connection& c = connection();
  const std::string message = describe(result);
  if (c.comm) c.library.CommAbort(c.comm);
  c.comm = nullptr;
  return message;
}

/** Called while the host waits for the device: returns an error of another rank, or null. */
const char* findAsyncError() {
  static std::string message;
  Connection& c = connection();
  int error = SUCCESS;
  if (!c.comm || c.library.CommGetAsyncError(c.comm, &error) != SUCCESS) return nullptr;
  if (error == SUCCESS || error == IN_PROGRESS) return nullptr;
  message = abandon(error);
  return message.c_str();
}

/** Runs f(library, comm, stream) for operations that start together, in the order of the stream. */
template <class F>
void enqueue(F f) {
  enqueueLibraryCall([f](CUstream_st* stream) {
    Connection& c = connection();
    if (!c.comm) return deviceError("allReduce: the connection to the other ranks has been closed");
    const watchdog::Wait wait; // in the emulator, operations wait at once
    int result = c.library.GroupStart();
    if (result == SUCCESS) result = f(c.library, c.comm, stream);
    const int ended = c.library.GroupEnd();
    if (result == SUCCESS) result = ended;
    const std::string message = describe(result);
    if (!message.empty()) deviceError(message.c_str());
  });
}

/** Waits for the device. Returns its first error. */
std::string finish() {
  synchronize();
  const char* const error = lastError();
  return error ? error : "";
}

} // namespace

std::string open() {
  Connection& c = connection();
  if (c.isOpen) return "";
  const std::string error = c.library.open();
  c.isOpen = error.empty();
  return error;
}

std::string version() { return connection().library.version(); }

std::string createId(UniqueId* id) {
  Connection& c = connection();
  return c.isOpen ? describe(c.library.GetUniqueId(id)) : "NCCL is not open";
}

std::string join(const UniqueId& id, int size, int rank) {
  Connection& c = connection();
  if (!c.isOpen) return "NCCL is not open";
  if (c.comm) return "the process has already joined";
  if (!c.staging) c.staging = static_cast<char*>(allocate(STAGING_BYTES));
  if (!c.staging) return "no device memory is left";
  const watchdog::Wait wait;
  const std::string error = describe(c.library.CommInitRank(&c.comm, size, id, rank));
  if (!error.empty()) {
    c.comm = nullptr;
    return error;
  }
  c.rank = rank;
  c.size = size;
  checkWhileWaiting(findAsyncError);
  return "";
}

} // namespace nccl

/** x = its sum over all ranks, in an order that NCCL chooses: the same bits on every rank. */
void allReduce(List x) {
  if (nccl::connection().size == 1) return;
  std::vector<float*> pointers(x.data, x.data + x.count);
  std::vector<int64_t> lengths(x.lengths, x.lengths + x.count);
  nccl::enqueue([pointers, lengths](nccl::Functions& library, nccl::Comm* comm, CUstream_st* s) {
    for (size_t i = 0; i < pointers.size(); i++) {
      if (lengths[i] == 0) continue;
      const int result = library.AllReduce(pointers[i], pointers[i], (size_t)lengths[i],
                                           nccl::FLOAT32, nccl::SUM, comm, s);
      if (result != nccl::SUCCESS) return result;
    }
    return nccl::SUCCESS;
  });
}

} // namespace cuda

namespace group {

using namespace cuda;

int size() { return nccl::connection().size; }

std::string broadcast(void* bytes, size_t count, int root) {
  const nccl::Connection& c = nccl::connection();
  if (!c.comm) return "the process is not in a group";
  for (size_t begin = 0; begin < count; begin += nccl::STAGING_BYTES) {
    const size_t n = std::min(nccl::STAGING_BYTES, count - begin);
    char* const part = static_cast<char*>(bytes) + begin;
    copyToDevice(c.staging, part, n);
    nccl::enqueue([n, root, at = c.staging](nccl::Functions& library, nccl::Comm* comm,
                                            CUstream_st* s) {
      return library.Broadcast(at, at, n, nccl::UINT8, root, comm, s);
    });
    copyToHost(part, c.staging, n);
    const std::string error = nccl::finish();
    if (!error.empty()) return error;
  }
  return "";
}

/** Each rank broadcasts its bytes. */
std::string allGather(const void* own, void* all, size_t count) {
  const nccl::Connection& c = nccl::connection();
  char* const result = static_cast<char*>(all);
  std::memcpy(result + (size_t)c.rank * count, own, count);
  for (int rank = 0; rank < c.size; rank++) {
    const std::string error = broadcast(result + (size_t)rank * count, count, rank);
    if (!error.empty()) return error;
  }
  return "";
}

void abort(int) {
  nccl::Connection& c = nccl::connection();
  if (c.comm) c.library.CommAbort(c.comm);
  c.comm = nullptr;
  c.size = 1;
}

std::string leave() {
  nccl::Connection& c = nccl::connection();
  const std::string error = nccl::finish();
  checkWhileWaiting(nullptr);
  if (c.comm) c.library.CommDestroy(c.comm);
  c.comm = nullptr;
  c.size = 1;
  return error;
}

} // namespace group
} // namespace tinybard
