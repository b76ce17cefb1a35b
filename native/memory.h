// The memory that kernels work on, as JavaScript holds it: typed arrays on cpu, objects of our own
// on cuda. Each floor has its own memory.cpp.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <memory>

#include "call.h"

namespace tinybard {

/** A buffer in JavaScript, and where it lies. */
struct View {
  napi_value owner; // what keeps the memory alive
  char* data = nullptr;
  int64_t length = 0; // elements
  Type type = Type::f32;

  size_t bytes() const;
};

constexpr size_t sizeOf(Type type) { return type == Type::f64 ? 8 : type == Type::bf16 ? 2 : 4; }
inline size_t View::bytes() const { return (size_t)length * sizeOf(type); }

/** Looks at a value; null, or in words what is wrong with it. */
const char* look(napi_env env, napi_value value, View* view);

/** The whole memory of an owner: where it begins, and how long it is; 0 once it is gone. */
void whole(napi_env env, napi_value owner, char** data, size_t* bytes);

/** What keeps the memory where it is even if its owner gives it back; null if nothing can. */
std::shared_ptr<void> holdOf(napi_env env, napi_value owner);

} // namespace tinybard
