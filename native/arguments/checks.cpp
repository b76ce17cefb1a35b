// kernels.def as functions that check the arguments of a call. The numbers come first, because the
// lengths of the buffers are expressions in their names.

#include "checks.h"

#define NUMBERS(...) [[maybe_unused]] const Size __VA_ARGS__; // n = arguments.size("n"), ...
#define NO_NUMBERS
#define SIZE(name) name = arguments.size(#name)
#define INTEGER(name) name = arguments.integer(#name)
#define REAL(name) name = arguments.real(#name)
#define FLAG(name) name = arguments.flag(#name)

#define BUFFERS(...) __VA_ARGS__ // arguments.buffer<F>("x", n, ...), arguments.buffer<F>(...), ...
#define IN(T, name, length) arguments.buffer<T>(#name, length, false, false)
#define OUT(T, name, length) arguments.buffer<T>(#name, length, true, false)
#define INOUT(T, name, length) arguments.buffer<T>(#name, length, true, false)
#define IN_OPT(T, name, length) arguments.buffer<T>(#name, length, false, true)
#define OUT_OPT(T, name, length) arguments.buffer<T>(#name, length, true, true)
#define IN_LIST(T, name) arguments.list(#name, false, Type::T)
#define INOUT_LIST(T, name) arguments.list(#name, true, Type::T)
#define OUT_LIST_OPT(T, name) \
  arguments.list(#name, true, Type::T, Arguments::ListLength::asFirstOrEmpty)
#define INOUT_SCALAR_LIST(T, name) \
  arguments.list(#name, true, Type::T, Arguments::ListLength::scalars)

#define KERNEL(name, buffers, numbers)                  \
  {#name, #buffers " " #numbers, [](Arguments& arguments) { \
     numbers                                            \
     arguments.beginBuffers();                          \
     buffers;                                           \
   }},

namespace tinybard {

const Entry entries[] = {
#include "../kernels.def"
};

const size_t entryCount = std::size(entries);

} // namespace tinybard
