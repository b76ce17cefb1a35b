// Buffers as JavaScript holds them: typed arrays on cpu, objects of this addon on cuda. Each
// backend implements these functions in its buffer.cpp.
#pragma once

#include <napi.h>

#include <memory>

#include "../kernel.h"

namespace tinybard {

constexpr size_t sizeOf(Type type) { return type == Type::f64 ? 8 : type == Type::bf16 ? 2 : 4; }

/** The elements that a JavaScript value gives access to. */
struct BufferView {
  napi_value owner; // the value that keeps the memory alive
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

/** Fills `view`. Returns null, or what is wrong with the value: "is not a typed array". */
const char* inspectBuffer(napi_env env, napi_value value, BufferView* view);

Extent bufferExtent(napi_env env, napi_value owner);

/** Returns a reference that keeps the memory in place even if JavaScript frees it; null where that
 *  is not possible. */
std::shared_ptr<void> retainBuffer(napi_env env, napi_value owner);

} // namespace tinybard
