// The processes that train together, as a backend connects them: through MPI on cpu (cpu/mpi.cpp),
// through NCCL on cuda (cuda/nccl.cpp). Functions return an error message, or an empty string.
#pragma once

#include <napi.h>

#include <cstddef>
#include <string>

namespace tinybard::group {

/** Returns the number of ranks; 1 before the process has joined. */
int size();
/** Sends the bytes of rank `root` to all ranks. */
std::string broadcast(void* bytes, size_t count, int root);
/** all [size, count] = the `count` bytes of each rank, by rank. */
std::string allGather(const void* own, void* all, size_t count);
/** Ends all ranks, this process included, as far as the library can. */
void abort(int exitCode);
/** Leaves in order. */
std::string leave();

/** Returns the exports that both backends have; each adds its way to join. */
Napi::Object makeExports(Napi::Env env);

/** Throws an Error unless the message is empty. */
void check(Napi::Env env, const std::string& error);

} // namespace tinybard::group
