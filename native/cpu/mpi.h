// The processes that train together on CPUs, connected by MPI.
#pragma once

#include <string>

#include "../kernel.h"

namespace tinybard::mpi {

/** Opens an MPI library. Returns the reason if that is not possible, otherwise an empty string. */
std::string open(const char* library);
/** Returns the name and version of the open library. */
std::string version();

/**
 * Joins the other processes; from then on all calls come from this thread. Returns an error
 * message, or an empty string. If MPI sees another number of them than `expectedSize`, the library
 * is not the launcher's, and the process has left again.
 */
std::string join(int expectedSize, int* rank);

/** Replaces each element by its sum over all ranks, added in the order of ranks: the same bits on
 *  every rank. Does nothing in a single process. Errors are reported by kernelError(). */
void allReduce(List x);

} // namespace tinybard::mpi
