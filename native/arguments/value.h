// JavaScript values as the argument checks read them. There are two bindings, Node-API (native/napi
// and the buffers of each backend) and the WebAssembly module (native/wasm): each implements these
// functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../kernel.h"

#if !defined(__wasm__)
#include <node_api.h>
#endif

namespace tinybard {

#if defined(__wasm__)
using Env = std::nullptr_t;
using Value = const struct StagedValue*; // native/wasm/staging.h
#else
using Env = napi_env;
using Value = napi_value;
#endif

constexpr size_t sizeOf(Type type) { return type == Type::f64 ? 8 : type == Type::bf16 ? 2 : 4; }

/** The elements that a JavaScript value gives access to. */
struct BufferView {
  Value owner; // the value that keeps the memory alive
  char* data = nullptr;
  int64_t length = 0; // elements
  Type type = Type::f32;

  size_t bytes() const { return (size_t)length * sizeOf(type); }
};

/** The whole memory of an owner; empty once it is detached or freed. */
struct Extent {
  char* data;
  size_t bytes;
};

/** These return false if the value is something else, or cannot be read. */
bool readNumber(Env env, Value value, double* x);
bool readFlag(Env env, Value value, bool* x);
bool readListLength(Env env, Value list, uint32_t* length);
bool readElement(Env env, Value list, uint32_t i, Value* element);
bool isNull(Env env, Value value);

/** Fills `view`. Returns null, or what is wrong with the value: "is not a typed array". */
const char* inspectBuffer(Env env, Value value, BufferView* view);

Extent bufferExtent(Env env, Value owner);

} // namespace tinybard
