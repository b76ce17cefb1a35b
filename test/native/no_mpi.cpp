// Takes the place of MPI in programs that run the kernels in a single process, without Node.

#include "cpu/mpi.h"

namespace tinybard::mpi {

void allReduce(List) {} // a sum over one rank

} // namespace tinybard::mpi
