// MPI without mpi.h: the functions that are used, found in a library when the program runs. There
// are three binary interfaces, of Open MPI, of MPICH and its relatives, and of MPI 5. They differ
// in the values of handles alone, which are passed as words of pointer size: MPICH's int handles
// are the low half of a word on x86-64 and arm64.
#pragma once

#include <string>

namespace tinybard::mpi {

/** A communicator, data type, operation or error handler. */
using Handle = void*;

/** The handles of predefined objects. */
struct Constants {
  Handle world;
  Handle f32;
  Handle byte;
  Handle errorsReturn;
};

constexpr int SUCCESS = 0;
constexpr int THREAD_FUNNELED = 1; // the same in all three

// name, parameters; each returns an error code
#define MPI_FUNCTIONS(FUNCTION)                                                  \
  FUNCTION(Init_thread, (int* argc, char*** argv, int required, int* provided))  \
  FUNCTION(Initialized, (int* flag))                                             \
  FUNCTION(Finalize, ())                                                         \
  FUNCTION(Abort, (Handle comm, int code))                                       \
  FUNCTION(Get_library_version, (char* text, int* length))                       \
  FUNCTION(Error_string, (int code, char* text, int* length))                    \
  FUNCTION(Comm_set_errhandler, (Handle comm, Handle handler))                   \
  FUNCTION(Comm_rank, (Handle comm, int* rank))                                  \
  FUNCTION(Comm_size, (Handle comm, int* size))                                  \
  FUNCTION(Bcast, (void* data, int count, Handle type, int root, Handle comm))   \
  FUNCTION(Alltoall, (const void* from, int fromCount, Handle fromType, void* to, \
                      int toCount, Handle toType, Handle comm))                  \
  FUNCTION(Allgather, (const void* from, int fromCount, Handle fromType, void* to, \
                       int toCount, Handle toType, Handle comm))

/** The functions and handles of the library. */
struct Library {
#define FUNCTION(name, parameters) int(*name) parameters = nullptr;
  MPI_FUNCTIONS(FUNCTION)
#undef FUNCTION // words-ok: a parameter of MPI_FUNCTIONS
  Constants constants{};

  /** Opens a shared library. Returns the reason if it cannot be used, otherwise an empty string. */
  std::string open(const char* path);
  /** Returns the name and version of the library, such as "Open MPI 4.1.4". */
  std::string version() const;
  /** Returns the text of an error code. */
  std::string describe(int code) const;
};

} // namespace tinybard::mpi
