// A library with the functions of libnccl.so.2 that the CUDA addon uses, for the emulator, whose
// device memory is the host's: so the path to NCCL is tested without a GPU. The ranks share a piece
// of memory, which the unique id names, and add in the order of ranks. A rank that does not come is
// an error after NCCL_TEST_TIMEOUT_MS, or 20 s.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>

#include "../../native/cuda/nccl_api.h"

using tinybard::cuda::nccl::FLOAT32;
using tinybard::cuda::nccl::SUCCESS;
using tinybard::cuda::nccl::SUM;
using tinybard::cuda::nccl::UINT8;
using tinybard::cuda::nccl::UniqueId;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr size_t CHUNK = 1 << 16; // bytes of each rank

// ncclResult_t
constexpr int SYSTEM_ERROR = 2;
constexpr int INVALID_ARGUMENT = 4;
constexpr int INVALID_USAGE = 5;
constexpr int REMOTE_ERROR = 6;

/** The memory of all ranks. */
struct Shared {
  std::atomic<uint32_t> arrived;
  std::atomic<uint32_t> round;
  char slots[][CHUNK];
};

/** A rank's view of its group. */
struct Group {
  Shared* shared;
  size_t bytes;
  int rank;
  int size;
  int error;
};

int depth = 0; // of GroupStart

/** Returns when all ranks have called it, or an error. */
int barrier(Group* group) {
  Shared& shared = *group->shared;
  const uint32_t round = shared.round.load();
  if (shared.arrived.fetch_add(1) + 1 == (uint32_t)group->size) {
    shared.arrived = 0;
    shared.round++;
    return SUCCESS;
  }
  const char* const setting = std::getenv("NCCL_TEST_TIMEOUT_MS");
  const auto limit = std::chrono::milliseconds(setting ? std::atoi(setting) : 20000);
  const auto end = std::chrono::steady_clock::now() + limit;
  while (shared.round.load() == round) {
    std::this_thread::yield();
    if (std::chrono::steady_clock::now() > end) return group->error = REMOTE_ERROR;
  }
  return SUCCESS;
}

} // namespace

EXPORT int ncclGetVersion(int* version) {
  *version = 29901;
  return SUCCESS;
}

EXPORT const char* ncclGetErrorString(int result) {
  if (result == SUCCESS) return "no error";
  if (result == REMOTE_ERROR) return "remote process exited or there was a network error";
  return result == INVALID_USAGE ? "invalid usage" : "invalid argument";
}

EXPORT const char* ncclGetLastError(Group*) { return ""; }

EXPORT int ncclGetUniqueId(UniqueId* id) {
  *id = {};
  const char* const address = std::getenv("NCCL_COMM_ID");
  if (address) std::snprintf(id->bytes, 64, "%s", address); // the same on every rank
  else std::snprintf(id->bytes, 64, "%d-%lld", (int)getpid(), (long long)std::time(nullptr));
  return SUCCESS;
}

EXPORT int ncclCommInitRank(Group** result, int size, UniqueId id, int rank) {
  if (rank < 0 || rank >= size) return INVALID_ARGUMENT;
  std::string name = std::string("/tinybard-nccl-") + id.bytes;
  std::replace(name.begin() + 1, name.end(), ':', '-');
  const size_t bytes = sizeof(Shared) + (size_t)size * CHUNK;
  const int file = shm_open(name.c_str(), O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, (off_t)bytes) != 0) return SYSTEM_ERROR;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return SYSTEM_ERROR;
  Group* const group = new Group{static_cast<Shared*>(memory), bytes, rank, size, SUCCESS};
  const int error = barrier(group);
  if (rank == 0) shm_unlink(name.c_str()); // all ranks have mapped it
  *result = group;
  return error;
}

EXPORT int ncclCommDestroy(Group* group) {
  munmap(group->shared, group->bytes);
  delete group;
  return SUCCESS;
}

EXPORT int ncclCommAbort(Group* group) { return ncclCommDestroy(group); }

EXPORT int ncclCommGetAsyncError(Group* group, int* error) {
  *error = group->error;
  return SUCCESS;
}

EXPORT int ncclGroupStart() {
  depth++;
  return SUCCESS;
}

EXPORT int ncclGroupEnd() { return --depth == 0 ? SUCCESS : INVALID_USAGE; }

EXPORT int ncclAllReduce(const void* from, void* to, size_t count, int type, int operation,
                         Group* group, CUstream_st*) {
  if (type != FLOAT32 || operation != SUM || count == 0) return INVALID_ARGUMENT;
  if (depth != 1) return INVALID_USAGE;
  for (size_t begin = 0; begin < count; begin += CHUNK / 4) {
    const size_t n = std::min(count - begin, CHUNK / 4);
    std::memcpy(group->shared->slots[group->rank], static_cast<const float*>(from) + begin, 4 * n);
    if (const int error = barrier(group)) return error;
    float* const sums = static_cast<float*>(to) + begin;
    for (size_t i = 0; i < n; i++) {
      float sum = reinterpret_cast<const float*>(group->shared->slots[0])[i];
      for (int rank = 1; rank < group->size; rank++)
        sum += reinterpret_cast<const float*>(group->shared->slots[rank])[i];
      sums[i] = sum;
    }
    if (const int error = barrier(group)) return error;
  }
  return SUCCESS;
}

EXPORT int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Group* group,
                         CUstream_st*) {
  if (type != UINT8 || root < 0 || root >= group->size) return INVALID_ARGUMENT;
  for (size_t begin = 0; begin < count; begin += CHUNK) {
    const size_t n = std::min(count - begin, CHUNK);
    char* const slot = group->shared->slots[root];
    if (group->rank == root) std::memcpy(slot, static_cast<const char*>(from) + begin, n);
    if (const int error = barrier(group)) return error;
    std::memcpy(static_cast<char*>(to) + begin, slot, n);
    if (const int error = barrier(group)) return error;
  }
  return SUCCESS;
}
