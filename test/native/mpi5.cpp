// A library with the binary interface of MPI 5, which no distribution has yet: it passes each call
// on to MPICH, with MPICH's handles in place of those of the standard.

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "../../native/cpu/mpi_library.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

using tinybard::mpi::Handle;

namespace {

struct Functions {
#define FUNCTION(name, parameters) int(*name) parameters;
  MPI_FUNCTIONS(FUNCTION)
#undef FUNCTION // words-ok: a parameter of MPI_FUNCTIONS

  Functions() {
    void* const library = dlopen("libmpich.so.12", RTLD_NOW | RTLD_LOCAL);
    if (!library) std::abort();
#define FUNCTION(name, parameters) \
  name = reinterpret_cast<int(*) parameters>(dlsym(library, "MPI_" #name));
    MPI_FUNCTIONS(FUNCTION)
#undef FUNCTION // words-ok: a parameter of MPI_FUNCTIONS
  }
};

const Functions& mpich() {
  static const Functions functions;
  return functions;
}

/** Returns MPICH's handle for one of MPI 5. Ends the process for any other value. */
Handle toMpich(Handle handle) {
  const auto word = [](uintptr_t value) { return reinterpret_cast<Handle>(value); };
  switch (reinterpret_cast<uintptr_t>(handle)) {
    case 0x101: return word(0x44000000); // MPI_COMM_WORLD
    case 0x210: return word(0x4c00040a); // MPI_FLOAT
    case 0x247: return word(0x4c00010d); // MPI_BYTE
    case 0x142: return word(0x54000001); // MPI_ERRORS_RETURN
  }
  std::fprintf(stderr, "%p is not a handle of MPI 5\n", handle);
  std::abort();
}

} // namespace

EXPORT int MPI_Abi_get_version(int* major, int* minor) {
  *major = 1;
  *minor = 0;
  return 0;
}

EXPORT int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  return mpich().Init_thread(argc, argv, required, provided);
}

EXPORT int MPI_Initialized(int* flag) { return mpich().Initialized(flag); }

EXPORT int MPI_Finalize() { return mpich().Finalize(); }

EXPORT int MPI_Abort(Handle comm, int code) { return mpich().Abort(toMpich(comm), code); }

EXPORT int MPI_Get_library_version(char* text, int* length) {
  *length = std::snprintf(text, 64, "A library of MPI 5.0\nover MPICH");
  return 0;
}

EXPORT int MPI_Error_string(int code, char* text, int* length) {
  return mpich().Error_string(code, text, length);
}

EXPORT int MPI_Comm_set_errhandler(Handle comm, Handle handler) {
  return mpich().Comm_set_errhandler(toMpich(comm), toMpich(handler));
}

EXPORT int MPI_Comm_rank(Handle comm, int* rank) { return mpich().Comm_rank(toMpich(comm), rank); }

EXPORT int MPI_Comm_size(Handle comm, int* size) { return mpich().Comm_size(toMpich(comm), size); }

EXPORT int MPI_Bcast(void* data, int count, Handle type, int root, Handle comm) {
  return mpich().Bcast(data, count, toMpich(type), root, toMpich(comm));
}

EXPORT int MPI_Alltoall(const void* from, int fromCount, Handle fromType, void* to, int toCount,
                        Handle toType, Handle comm) {
  return mpich().Alltoall(from, fromCount, toMpich(fromType), to, toCount, toMpich(toType),
                          toMpich(comm));
}

EXPORT int MPI_Allgather(const void* from, int fromCount, Handle fromType, void* to, int toCount,
                         Handle toType, Handle comm) {
  return mpich().Allgather(from, fromCount, toMpich(fromType), to, toCount, toMpich(toType),
                           toMpich(comm));
}
