// Buffers on cuda: objects whose contents only this addon can access.

#include "buffer.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "../door.h"
#include "../memory.h"
#include "device.cuh"

namespace tinybard {

int64_t allocationCount = 0;
int64_t readCount = 0;

namespace {

constexpr napi_type_tag tag = {0x74696e7962617264, 0x6275666665720000};

/** An allocation; data is null once it is freed. A captured graph may keep the memory alive. */
struct DeviceBuffer {
  std::shared_ptr<char> data;
  int64_t length;
  Type type;

  size_t bytes() const { return data ? (size_t)length * sizeOf(type) : 0; }
};

/** Returns the buffer that a JavaScript value wraps, or null if it is something else. */
DeviceBuffer* unwrap(napi_env env, napi_value value) {
  napi_valuetype type;
  bool isOurs = false;
  void* wrapped = nullptr;
  napi_typeof(env, value, &type);
  if (type == napi_object) napi_check_object_type_tag(env, value, &tag, &isOurs);
  if (isOurs) napi_unwrap(env, value, &wrapped);
  return static_cast<DeviceBuffer*>(wrapped);
}

napi_value fail(napi_env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return nullptr;
}

/** The first N arguments of a function; missing ones are undefined. */
template <size_t N>
struct Arguments {
  napi_value at[N];
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, at, nullptr, nullptr);
  }
};

/** Returns the bits of x as bf16, rounded to nearest, ties to even. */
uint16_t toBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromBf16(uint16_t x16) {
  const uint32_t bits = (uint32_t)x16 << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

/** Converts numbers to the type of the buffer. */
template <class T>
void convert(const T* from, const DeviceBuffer& buffer, void* to) {
  for (int64_t i = 0; i < buffer.length; i++) {
    if (buffer.type == Type::i32) static_cast<i32*>(to)[i] = toInt32((double)from[i]);
    else if (buffer.type == Type::bf16) static_cast<uint16_t*>(to)[i] = toBf16((float)from[i]);
    else static_cast<float*>(to)[i] = (float)from[i];
  }
}

} // namespace

const char* look(napi_env env, napi_value value, View* view) {
  const DeviceBuffer* buffer = unwrap(env, value);
  if (!buffer) return "is not a device buffer";
  if (!buffer->data) return "has been freed";
  *view = {value, buffer->data.get(), buffer->length, buffer->type};
  return nullptr;
}

void whole(napi_env env, napi_value owner, char** data, size_t* bytes) {
  const DeviceBuffer* buffer = unwrap(env, owner);
  *data = buffer ? buffer->data.get() : nullptr;
  *bytes = buffer ? buffer->bytes() : 0;
}

std::shared_ptr<void> holdOf(napi_env env, napi_value owner) {
  const DeviceBuffer* buffer = unwrap(env, owner);
  return buffer ? buffer->data : nullptr;
}

napi_value allocateBuffer(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  char name[8];
  size_t size = 0;
  double length = -1;
  napi_get_value_string_utf8(env, arguments.at[0], name, sizeof name, &size);
  napi_get_value_double(env, arguments.at[1], &length);
  const std::string dtype(name, size);
  if (dtype != "f32" && dtype != "i32" && dtype != "bf16")
    return fail(env, "allocate: unknown dtype, expected f32, i32 or bf16");
  if (!(length >= 0 && length <= 1e15 && length == std::floor(length)))
    return fail(env, "allocate: length is not a nonnegative integer");
  const Type type = dtype == "f32" ? Type::f32 : dtype == "i32" ? Type::i32 : Type::bf16;
  const size_t bytes = (size_t)length * sizeOf(type);
  void* data = cuda::allocate(bytes > 0 ? bytes : 1);
  if (!data) {
    napi_value null;
    napi_get_null(env, &null);
    return null;
  }
  allocationCount++;
  const napi_value result = object(env);
  napi_type_tag_object(env, result, &tag);
  auto* const buffer = new DeviceBuffer;
  buffer->data = {static_cast<char*>(data), cuda::release};
  buffer->length = (int64_t)length;
  buffer->type = type;
  const auto finalize = [](napi_env, void* wrapped, void*) {
    delete static_cast<DeviceBuffer*>(wrapped);
  };
  napi_wrap(env, result, buffer, finalize, nullptr, nullptr);
  napi_value number;
  napi_create_double(env, length, &number);
  napi_set_named_property(env, result, "length", number);
  napi_create_double(env, (double)bytes, &number);
  napi_set_named_property(env, result, "byteLength", number);
  return result;
}

napi_value freeBuffer(napi_env env, napi_callback_info info) {
  DeviceBuffer* buffer = unwrap(env, Arguments<1>(env, info).at[0]);
  if (!buffer) return fail(env, "free: buffer is not a device buffer");
  buffer->data.reset();
  return nullptr;
}

napi_value writeBuffer(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const DeviceBuffer* buffer = unwrap(env, arguments.at[0]);
  if (!buffer || !buffer->data) return fail(env, "write: buffer is not a device buffer");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  bool isArray = false;
  napi_is_typedarray(env, arguments.at[1], &isArray);
  if (!isArray) return fail(env, "write: values is not a typed array");
  napi_get_typedarray_info(env, arguments.at[1], &type, &length, &data, nullptr, nullptr);
  if ((int64_t)length != buffer->length)
    return fail(env, "write: values and buffer have different lengths");
  const bool isF32 = type == napi_float32_array;
  const bool isI32 = type == napi_int32_array;
  if ((isF32 && buffer->type == Type::f32) || (isI32 && buffer->type == Type::i32)) {
    cuda::copyToDevice(buffer->data.get(), data, buffer->bytes());
    return nullptr;
  }
  std::vector<char> converted(buffer->bytes());
  if (isF32) convert(static_cast<const float*>(data), *buffer, converted.data());
  else if (isI32) convert(static_cast<const i32*>(data), *buffer, converted.data());
  else if (type == napi_float64_array)
    convert(static_cast<const double*>(data), *buffer, converted.data());
  else return fail(env, "write: values is not a Float32Array, Float64Array or Int32Array");
  cuda::copyToDevice(buffer->data.get(), converted.data(), converted.size());
  return nullptr;
}

napi_value readBuffer(napi_env env, napi_callback_info info) {
  const DeviceBuffer* buffer = unwrap(env, Arguments<1>(env, info).at[0]);
  if (!buffer || !buffer->data) return fail(env, "read: buffer is not a device buffer");
  const auto type = buffer->type == Type::i32 ? napi_int32_array : napi_float32_array;
  const size_t length = (size_t)buffer->length;
  void* data = nullptr;
  napi_value memory;
  if (napi_create_arraybuffer(env, 4 * length, &data, &memory) != napi_ok) return nullptr;
  readCount++;
  if (buffer->type == Type::bf16) {
    std::vector<uint16_t> values(length);
    cuda::copyToHost(values.data(), buffer->data.get(), buffer->bytes());
    for (size_t i = 0; i < length; i++) static_cast<float*>(data)[i] = fromBf16(values[i]);
  } else {
    cuda::copyToHost(data, buffer->data.get(), buffer->bytes());
  }
  if (throwDeviceError(env)) return nullptr;
  napi_value result = nullptr;
  napi_create_typedarray(env, type, length, memory, 0, &result);
  return result;
}

bool throwDeviceError(napi_env env) {
  if (const char* error = cuda::lastError()) {
    napi_throw_error(env, nullptr, (std::string("device error: ") + error).c_str());
    return true;
  }
  cuda::IndexError indexError{};
  cuda::copyToHost(&indexError, cuda::deviceIndexError(), sizeof indexError);
  if (indexError.source == (int)cuda::IndexSource::none) return false;
  const cuda::IndexError none{};
  cuda::copyToDevice(cuda::deviceIndexError(), &none, sizeof none);
  constexpr const char* arguments[] = { // by IndexSource
      "",
      "embedding: idx",
      "embeddingBackward: idx",
      "crossEntropy: target",
      "linearCrossEntropy: target",
      "rotary: position",
      "embeddingQuantized: idx",
      "cachedAttention: position",
  };
  const std::string message = std::string(arguments[indexError.source]) + "[" +
                              std::to_string(indexError.position) + "] is " +
                              std::to_string(indexError.value) + ", expected 0 to " +
                              std::to_string(indexError.bound - 1);
  napi_throw_range_error(env, nullptr, message.c_str());
  return true;
}

} // namespace tinybard
