// The processes that train together on GPUs, one GPU each, connected by NCCL.
#pragma once

#include <string>

#include "nccl_api.h"

namespace tinybard::cuda::nccl {

/** Opens the library. Returns an error message, or an empty string. */
std::string open();
/** Returns the name and version of the open library. */
std::string version();
/** Makes the id of a new group, which rank 0 passes to the others; the same on every rank if
 *  NCCL_COMM_ID is set. Returns an error message, or an empty string. */
std::string createId(UniqueId* id);
/** Joins the other processes. Returns an error message, or an empty string. */
std::string join(const UniqueId& id, int size, int rank);

} // namespace tinybard::cuda::nccl
