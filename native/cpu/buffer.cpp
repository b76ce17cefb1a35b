// Buffers on cpu: Float32Array and Int32Array on an ArrayBuffer of fixed length.

#include "../napi/buffer.h"

namespace tinybard {

const char* inspectBuffer(napi_env env, napi_value value, BufferView* view) {
  napi_typedarray_type type;
  size_t elements = 0;
  void* data = nullptr;
  napi_value resizable;
  bool isTypedArray = false;
  bool isArrayBuffer = false;
  bool isDetached = false;
  bool isResizable = false;
  napi_is_typedarray(env, value, &isTypedArray);
  if (!isTypedArray) return "is not a typed array";
  napi_get_typedarray_info(env, value, &type, &elements, &data, &view->owner, nullptr);
  napi_is_arraybuffer(env, view->owner, &isArrayBuffer);
  if (!isArrayBuffer) return "is on a SharedArrayBuffer, expected an ArrayBuffer";
  if (elements == 0) napi_is_detached_arraybuffer(env, view->owner, &isDetached);
  if (isDetached) return "is detached";
  if (napi_get_named_property(env, view->owner, "resizable", &resizable) != napi_ok)
    return "cannot be read";
  napi_get_value_bool(env, resizable, &isResizable); // undefined in Node without such buffers
  if (isResizable) return "is on a resizable ArrayBuffer, expected one of fixed length";
  if (type == napi_float32_array) view->type = Type::f32;
  else if (type == napi_int32_array) view->type = Type::i32;
  else if (type == napi_float64_array) view->type = Type::f64;
  else return "is not a Float32Array or an Int32Array";
  view->data = static_cast<char*>(data);
  view->length = (int64_t)elements;
  return nullptr;
}

Extent bufferExtent(napi_env env, napi_value owner) {
  void* data = nullptr;
  size_t bytes = 0;
  napi_get_arraybuffer_info(env, owner, &data, &bytes);
  return {static_cast<char*>(data), bytes};
}

std::shared_ptr<void> retainBuffer(napi_env, napi_value) { return nullptr; }

} // namespace tinybard
