// The part of NCCL's C API that is used, as nccl.h has declared it since 2.4: neither the header
// nor the library is needed to build. The library is opened with dlopen() at run time, and its
// functions become members of Functions.
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <string>

#include "library_folders.h"

struct CUstream_st;

namespace tinybard::cuda::nccl {

// ncclResult_t
constexpr int SUCCESS = 0;
constexpr int IN_PROGRESS = 7;

// ncclDataType_t
constexpr int UINT8 = 1;
constexpr int FLOAT32 = 7;

// ncclRedOp_t
constexpr int SUM = 0;

struct Comm;

/** ncclUniqueId: identifies a group of ranks. */
struct UniqueId {
  char bytes[128];
};

// Name without the prefix nccl, result type, parameters.
#define NCCL_FUNCTIONS(FUNCTION)                                                               \
  FUNCTION(GetVersion, int, (int* version))                                                    \
  FUNCTION(GetUniqueId, int, (UniqueId* id))                                                   \
  FUNCTION(CommInitRank, int, (Comm** comm, int size, UniqueId id, int rank))                  \
  FUNCTION(CommDestroy, int, (Comm* comm))                                                     \
  FUNCTION(CommAbort, int, (Comm* comm))                                                       \
  FUNCTION(CommGetAsyncError, int, (Comm* comm, int* error))                                   \
  FUNCTION(GetErrorString, const char*, (int result))                                          \
  FUNCTION(GetLastError, const char*, (Comm* comm))                                            \
  FUNCTION(GroupStart, int, ())                                                                \
  FUNCTION(GroupEnd, int, ())                                                                  \
  FUNCTION(AllReduce, int,                                                                     \
           (const void* from, void* to, size_t count, int type, int operation, Comm* comm,     \
            CUstream_st* stream))                                                              \
  FUNCTION(Broadcast, int,                                                                     \
           (const void* from, void* to, size_t count, int type, int root, Comm* comm,          \
            CUstream_st* stream))

#define NCCL_DECLARE(name, Result, parameters) Result(*name) parameters = nullptr;
#define NCCL_LOAD(name, Result, parameters)                                    \
  name = reinterpret_cast<Result(*) parameters>(dlsym(library, "nccl" #name)); \
  isComplete = isComplete && name;

/** The functions of the library as pointers, null until open() succeeds. */
struct Functions {
  NCCL_FUNCTIONS(NCCL_DECLARE)

  /** Opens the library: below NCCL_ROOT, on the loader's search path, or in /usr/local/cuda.
   *  Returns the reason if that is not possible, otherwise an empty string. */
  std::string open() {
    for (const std::string& folder : libraryFolders("NCCL_ROOT")) {
      if (openFile(folder + "libnccl.so.2")) return "";
    }
    return "libnccl.so.2 was not found; install NCCL (pip install nvidia-nccl-cu13, Debian: "
           "libnccl2), or set NCCL_ROOT to the folder that has it in lib/";
  }

  /** Returns the version of the library, such as "NCCL 2.30.7". */
  std::string version() const {
    int number = 0; // 23007 is 2.30.7
    GetVersion(&number);
    return "NCCL " + std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) +
           "." + std::to_string(number % 100);
  }

 private:
  bool openFile(const std::string& file) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    bool isComplete = true;
    NCCL_FUNCTIONS(NCCL_LOAD)
    if (!isComplete) dlclose(library);
    return isComplete;
  }
};

} // namespace tinybard::cuda::nccl
