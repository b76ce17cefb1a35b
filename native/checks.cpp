// kernels.def as functions that check the arguments of a call: numbers first, for the lengths of
// the buffers are expressions in their names.

#include "checks.h"

#define NUMBERS(...) [[maybe_unused]] const Size __VA_ARGS__; // n = call.size("n"), ...
#define NO_NUMBERS
#define SIZE(name) name = call.size(#name)
#define INTEGER(name) name = call.integer(#name)
#define REAL(name) name = call.real(#name)
#define FLAG(name) name = call.flag(#name)

#define BUFFERS(...) __VA_ARGS__ // call.buffer<F>("x", n, ...), call.buffer<F>(...), ...
#define IN(T, name, length) call.buffer<T>(#name, length, false, false)
#define OUT(T, name, length) call.buffer<T>(#name, length, true, false)
#define INOUT(T, name, length) call.buffer<T>(#name, length, true, false)
#define IN_OPT(T, name, length) call.buffer<T>(#name, length, false, true)
#define OUT_OPT(T, name, length) call.buffer<T>(#name, length, true, true)
#define IN_LIST(T, name) call.list(#name, false, Type::T)
#define INOUT_LIST(T, name) call.list(#name, true, Type::T)
#define OUT_LIST_OPT(T, name) call.list(#name, true, Type::T, Call::Entries::maybeNone)
#define INOUT_SCALAR_LIST(T, name) call.list(#name, true, Type::T, Call::Entries::scalar)

#define KERNEL(name, buffers, numbers)     \
  {#name, #buffers " " #numbers, [](Call& call) { \
     numbers                               \
     call.beginBuffers();                  \
     buffers;                              \
   }},

namespace tinybard {

const Entry entries[] = {
#include "kernels.def"
};

const size_t entryCount = std::size(entries);

} // namespace tinybard
