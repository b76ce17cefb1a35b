// Memory on cuda: objects that only this addon can look into.

#include "buffer.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "../door.h"
#include "../memory.h"
#include "device.cuh"

namespace tinybard {

int64_t allocationCount = 0, readCount = 0;

namespace {

constexpr napi_type_tag tag = {0x74696e7962617264, 0x6275666665720000};

/** A piece of the device's memory; null once it was given back. A recording may still use it. */
struct Block {
  std::shared_ptr<char> data;
  int64_t length;
  Type type;

  size_t bytes() const { return data ? (size_t)length * sizeOf(type) : 0; }
};

Block* blockOf(napi_env env, napi_value value) {
  napi_valuetype type;
  bool isOurs = false;
  void* block = nullptr;
  napi_typeof(env, value, &type);
  if (type == napi_object) napi_check_object_type_tag(env, value, &tag, &isOurs);
  if (isOurs) napi_unwrap(env, value, &block);
  return static_cast<Block*>(block);
}

napi_value fail(napi_env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return nullptr;
}

/** The arguments of a function that takes N of them. */
template <size_t N>
struct Arguments {
  napi_value at[N];
  Arguments(napi_env env, napi_callback_info info) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, at, nullptr, nullptr); // those that are missing: undefined
  }
};

/** x as the upper half of its bits, to the nearest, ties to even. */
uint16_t toHalf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromHalf(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

/** Numbers as the block holds them. */
template <class T>
void convert(const T* from, const Block& block, void* to) {
  for (int64_t i = 0; i < block.length; i++) {
    if (block.type == Type::i32) static_cast<i32*>(to)[i] = toInt32((double)from[i]);
    else if (block.type == Type::bf16) static_cast<uint16_t*>(to)[i] = toHalf((float)from[i]);
    else static_cast<float*>(to)[i] = (float)from[i];
  }
}

} // namespace

const char* look(napi_env env, napi_value value, View* view) {
  const Block* block = blockOf(env, value);
  if (!block) return "is no memory of the device";
  if (!block->data) return "has been given back";
  *view = {value, block->data.get(), block->length, block->type};
  return nullptr;
}

void whole(napi_env env, napi_value owner, char** data, size_t* bytes) {
  const Block* block = blockOf(env, owner);
  *data = block ? block->data.get() : nullptr;
  *bytes = block ? block->bytes() : 0;
}

std::shared_ptr<void> holdOf(napi_env env, napi_value owner) {
  const Block* block = blockOf(env, owner);
  return block ? block->data : nullptr;
}

napi_value allocateBuffer(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  char name[8];
  size_t size = 0;
  double length = -1;
  napi_get_value_string_utf8(env, given.at[0], name, sizeof name, &size);
  napi_get_value_double(env, given.at[1], &length);
  const std::string dtype(name, size);
  if (dtype != "f32" && dtype != "i32" && dtype != "bf16")
    return fail(env, "allocate: dtype is unknown, expected f32, i32 or bf16");
  if (!(length >= 0 && length <= 1e15 && length == std::floor(length)))
    return fail(env, "allocate: length is not a whole number from 0 up");
  const Type type = dtype == "f32" ? Type::f32 : dtype == "i32" ? Type::i32 : Type::bf16;
  const size_t bytes = (size_t)length * sizeOf(type);
  void* data = cuda::allocate(bytes > 0 ? bytes : 1);
  napi_value buffer, number;
  if (!data) {
    napi_get_null(env, &buffer);
    return buffer;
  }
  allocationCount++;
  buffer = object(env);
  napi_type_tag_object(env, buffer, &tag);
  const auto end = [](napi_env, void* block, void*) { delete static_cast<Block*>(block); };
  const auto block = new Block{{static_cast<char*>(data), cuda::release}, (int64_t)length, type};
  napi_wrap(env, buffer, block, end, nullptr, nullptr);
  napi_create_double(env, length, &number);
  napi_set_named_property(env, buffer, "length", number);
  napi_create_double(env, (double)bytes, &number);
  napi_set_named_property(env, buffer, "byteLength", number);
  return buffer;
}

napi_value freeBuffer(napi_env env, napi_callback_info info) {
  Block* block = blockOf(env, Arguments<1>(env, info).at[0]);
  if (!block) return fail(env, "free: the buffer is no memory of the device");
  block->data.reset();
  return nullptr;
}

napi_value writeBuffer(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  const Block* block = blockOf(env, given.at[0]);
  if (!block || !block->data) return fail(env, "write: the buffer is no memory of the device");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  bool isArray = false;
  napi_is_typedarray(env, given.at[1], &isArray);
  if (!isArray) return fail(env, "write: values is no typed array");
  napi_get_typedarray_info(env, given.at[1], &type, &length, &data, nullptr, nullptr);
  if ((int64_t)length != block->length)
    return fail(env, "write: values has another length than the buffer");
  const bool isF32 = type == napi_float32_array, isI32 = type == napi_int32_array;
  if ((isF32 && block->type == Type::f32) || (isI32 && block->type == Type::i32)) {
    cuda::copyToDevice(block->data.get(), data, block->bytes());
    return nullptr;
  }
  std::vector<char> converted(block->bytes());
  if (isF32) convert(static_cast<const float*>(data), *block, converted.data());
  else if (isI32) convert(static_cast<const i32*>(data), *block, converted.data());
  else if (type == napi_float64_array)
    convert(static_cast<const double*>(data), *block, converted.data());
  else return fail(env, "write: values is neither of floats nor of 32-bit integers");
  cuda::copyToDevice(block->data.get(), converted.data(), converted.size());
  return nullptr;
}

napi_value readBuffer(napi_env env, napi_callback_info info) {
  const Block* block = blockOf(env, Arguments<1>(env, info).at[0]);
  if (!block || !block->data) return fail(env, "read: the buffer is no memory of the device");
  const auto type = block->type == Type::i32 ? napi_int32_array : napi_float32_array;
  const size_t length = (size_t)block->length;
  void* data = nullptr;
  napi_value memory, result = nullptr;
  if (napi_create_arraybuffer(env, 4 * length, &data, &memory) != napi_ok) return nullptr;
  readCount++;
  if (block->type == Type::bf16) {
    std::vector<uint16_t> halves(length);
    cuda::copyToHost(halves.data(), block->data.get(), block->bytes());
    for (size_t i = 0; i < length; i++) static_cast<float*>(data)[i] = fromHalf(halves[i]);
  } else {
    cuda::copyToHost(data, block->data.get(), block->bytes());
  }
  if (throwDeviceError(env)) return nullptr;
  napi_create_typedarray(env, type, length, memory, 0, &result);
  return result;
}

bool throwDeviceError(napi_env env) {
  if (const char* error = cuda::lastError()) {
    napi_throw_error(env, nullptr, (std::string("the device has failed: ") + error).c_str());
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
