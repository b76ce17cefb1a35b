// The macros of kernels.def as the parameters of a C++ function, for the declarations of all
// kernels: #define KERNEL(name, buffers, numbers) void name(buffers numbers);
#pragma once

#define BUFFERS(...) __VA_ARGS__
#define NUMBERS(...) , __VA_ARGS__
#define NO_NUMBERS
#define IN(T, name, length) const T* name
#define OUT(T, name, length) T* name
#define INOUT(T, name, length) T* name
#define IN_OPT(T, name, length) const T* name
#define OUT_OPT(T, name, length) T* name
#define IN_LIST(T, name) List name
#define INOUT_LIST(T, name) List name
#define OUT_LIST_OPT(T, name) List name
#define INOUT_SCALAR_LIST(T, name) List name
#define SIZE(name) int64_t name
#define INTEGER(name) int64_t name
#define REAL(name) double name
#define FLAG(name) bool name
