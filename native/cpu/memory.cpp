// Memory on cpu: typed arrays, on memory of their own that stays where it is.

#include "../memory.h"

namespace tinybard {

const char* look(napi_env env, napi_value value, View* view) {
  napi_typedarray_type type;
  size_t elements = 0;
  void* data = nullptr;
  napi_value resizable;
  bool isArray = false, isPlain = false, isDetached = false, canResize = false;
  napi_is_typedarray(env, value, &isArray);
  if (!isArray) return "is no typed array";
  napi_get_typedarray_info(env, value, &type, &elements, &data, &view->owner, nullptr);
  napi_is_arraybuffer(env, view->owner, &isPlain);
  if (!isPlain) return "lies in shared memory, expected memory of its own";
  if (elements == 0) napi_is_detached_arraybuffer(env, view->owner, &isDetached);
  if (isDetached) return "is detached";
  if (napi_get_named_property(env, view->owner, "resizable", &resizable) != napi_ok)
    return "cannot be read";
  napi_get_value_bool(env, resizable, &canResize); // undefined where Node has no such buffers
  if (canResize) return "lies in a resizable buffer, expected a fixed one";
  if (type == napi_float32_array) view->type = Type::f32;
  else if (type == napi_int32_array) view->type = Type::i32;
  else if (type == napi_float64_array) view->type = Type::f64;
  else return "is neither a Float32Array nor an Int32Array";
  view->data = static_cast<char*>(data);
  view->length = (int64_t)elements;
  return nullptr;
}

void whole(napi_env env, napi_value owner, char** data, size_t* bytes) {
  void* begin = nullptr;
  *bytes = 0;
  napi_get_arraybuffer_info(env, owner, &begin, bytes);
  *data = static_cast<char*>(begin);
}

std::shared_ptr<void> holdOf(napi_env, napi_value) { return nullptr; }

} // namespace tinybard
