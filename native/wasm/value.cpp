// Staged values as the argument checks read them.

#include "../arguments/value.h"

#include "heap.h"
#include "staging.h"

namespace tinybard {

template <class T>
static T* toPointer(double address) {
  return reinterpret_cast<T*>((size_t)address);
}

bool readNumber(Env, Value value, double* x) {
  *x = value->value;
  return value->kind == StagedValue::number;
}

bool readFlag(Env, Value value, bool* x) {
  *x = value->value != 0;
  return value->kind == StagedValue::flag;
}

bool readListLength(Env, Value list, uint32_t* length) {
  if (list->kind != StagedValue::list) return false;
  *length = (uint32_t)list->length;
  return true;
}

bool readElement(Env, Value list, uint32_t i, Value* element) {
  *element = toPointer<const StagedValue>(list->value) + i;
  return true;
}

bool isNull(Env, Value value) { return value->kind == StagedValue::null; }

const char* inspectBuffer(Env, Value value, BufferView* view) {
  if (value->kind == StagedValue::otherArray) return "is not in the memory of this device";
  if (value->kind == StagedValue::f32) view->type = Type::f32;
  else if (value->kind == StagedValue::i32) view->type = Type::i32;
  else if (value->kind == StagedValue::f64) view->type = Type::f64;
  else return "is not a typed array";
  view->owner = value;
  view->data = toPointer<char>(value->value);
  view->length = (int64_t)value->length;
  return nullptr;
}

// memory of the module is never detached
Extent bufferExtent(Env, Value) { return {nullptr, MAX_ADDRESS}; }

} // namespace tinybard
