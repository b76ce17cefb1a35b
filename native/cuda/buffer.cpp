// Buffers on cuda: objects that own device memory, copies between them and typed arrays, and the
// errors that the device reports.

#include "buffer.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "../napi/buffer.h"
#include "../napi/handle.h"
#include "device.cuh"

namespace tinybard {

int64_t allocationCount = 0, readCount = 0;

namespace {

/** Device memory. `data` is null once JavaScript has freed it; a captured graph may keep it. */
struct DeviceBuffer {
  static constexpr napi_type_tag tag = {0x74696e7962617264, 0x6275666665720000};
  std::shared_ptr<char> data;
  int64_t length;
  Type type;

  size_t bytes() const { return data ? (size_t)length * sizeOf(type) : 0; }
};

/** The buffers of the one environment that uses the device. */
Handles<DeviceBuffer>& buffers() {
  static auto& all = *new Handles<DeviceBuffer>; // never destroyed: the device may be gone by then
  return all;
}

/** Returns the block of a buffer object; null for any other value. */
DeviceBuffer* getBlock(napi_env env, napi_value value) {
  return Handles<DeviceBuffer>::get(env, value);
}

/** Returns the block of an argument. Throws unless it has memory. */
DeviceBuffer& getBlock(Napi::Value value, const char* function) {
  DeviceBuffer* block = getBlock(value.Env(), value);
  if (!block || !block->data)
    throw Napi::TypeError::New(value.Env(), std::string(function) +
                                                ": the buffer is not device memory");
  return *block;
}

const char* nameOf(Type type) {
  return type == Type::f32 ? "f32" : type == Type::i32 ? "i32" : "bf16";
}

/** Makes a buffer object. */
Napi::Object makeBuffer(Napi::Env env, std::unique_ptr<DeviceBuffer> block) {
  const double length = (double)block->length;
  const double bytes = (double)block->bytes();
  const char* const dtype = nameOf(block->type);
  const Napi::Object buffer = buffers().make(env, std::move(block));
  buffer.Set("length", length);
  buffer.Set("byteLength", bytes);
  buffer.Set("dtype", dtype);
  return buffer;
}

/** Rounds to the nearest bf16, ties to even. */
uint16_t toBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float fromBf16(uint16_t x) {
  const uint32_t bits = (uint32_t)x << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

/** Converts numbers to the type of a block. */
template <class T>
std::vector<char> convert(const T* from, const DeviceBuffer& block) {
  std::vector<char> bytes(block.bytes());
  char* const to = bytes.data();
  for (int64_t i = 0; i < block.length; i++) {
    if (block.type == Type::i32) reinterpret_cast<i32*>(to)[i] = toInt32((double)from[i]);
    else if (block.type == Type::bf16) reinterpret_cast<uint16_t*>(to)[i] = toBf16((float)from[i]);
    else reinterpret_cast<float*>(to)[i] = (float)from[i];
  }
  return bytes;
}

Type parseType(Napi::Value dtype) {
  const std::string name = dtype.IsString() ? dtype.As<Napi::String>().Utf8Value() : "";
  if (name == "f32") return Type::f32;
  if (name == "i32") return Type::i32;
  if (name == "bf16") return Type::bf16;
  throw Napi::TypeError::New(dtype.Env(), "allocate: dtype is unknown, expected f32, i32 or bf16");
}

} // namespace

const char* inspectBuffer(napi_env env, napi_value value, BufferView* view) {
  const DeviceBuffer* block = getBlock(env, value);
  if (!block) return "is not device memory";
  if (!block->data) return "has been freed";
  *view = {value, block->data.get(), block->length, block->type};
  return nullptr;
}

Extent bufferExtent(napi_env env, napi_value owner) {
  const DeviceBuffer* block = getBlock(env, owner);
  if (!block) return {nullptr, 0};
  return {block->data.get(), block->bytes()};
}

std::shared_ptr<void> retainBuffer(napi_env env, napi_value owner) {
  const DeviceBuffer* block = getBlock(env, owner);
  return block ? block->data : nullptr;
}

Napi::Value allocateBuffer(const Napi::CallbackInfo& info) {
  const Type type = parseType(info[0]);
  const double length = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;
  if (!(length >= 0 && length <= 1e15 && length == std::floor(length)))
    throw Napi::TypeError::New(info.Env(), "allocate: length is not an integer >= 0");
  const size_t bytes = (size_t)length * sizeOf(type);
  void* const memory = cuda::allocate(bytes > 0 ? bytes : 1);
  if (!memory) return info.Env().Null();
  std::shared_ptr<char> data(static_cast<char*>(memory), cuda::release);
  allocationCount++;
  auto block = std::make_unique<DeviceBuffer>(DeviceBuffer{std::move(data), (int64_t)length, type});
  return makeBuffer(info.Env(), std::move(block));
}

void freeBuffer(const Napi::CallbackInfo& info) {
  DeviceBuffer* block = getBlock(info.Env(), info[0]);
  if (!block) throw Napi::TypeError::New(info.Env(), "free: the buffer is not device memory");
  block->data.reset();
}

Napi::Value sweepBuffers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Array result = Napi::Array::New(env);
  uint32_t count = 0;
  const bool isFinalizedOnly = info[0].ToBoolean();
  for (auto& block : isFinalizedOnly ? buffers().takeFinalized() : buffers().sweep(env)) {
    if (!block->data || block->data.use_count() > 1) continue; // freed, or a graph's
    const Napi::HandleScope scope(env);
    result.Set(count++, makeBuffer(env, std::move(block)));
  }
  return result;
}

void collectGarbage(const Napi::CallbackInfo& info) {
  // V8 collects when it is told of this much memory outside of its heap; it is not told of the
  // device's memory in general, of which the 64 MB that it allows between collections are little
  constexpr int64_t pressure = int64_t{1} << 40;
  int64_t total = 0;
  napi_adjust_external_memory(info.Env(), pressure, &total);
  napi_adjust_external_memory(info.Env(), -pressure, &total);
}

void openMemory(Napi::Env env) {
  buffers().keepsCollected = true;
  env.AddCleanupHook([] {
    buffers().keepsCollected = false;
    buffers().takeFinalized(); // deletes them
  });
}

void writeBuffer(const Napi::CallbackInfo& info) {
  const DeviceBuffer& block = getBlock(info[0], "write");
  if (!info[1].IsTypedArray())
    throw Napi::TypeError::New(info.Env(), "write: values is not a typed array");
  const auto values = info[1].As<Napi::TypedArray>();
  if ((int64_t)values.ElementLength() != block.length)
    throw Napi::TypeError::New(info.Env(), "write: values does not have the length of the buffer");
  std::vector<char> converted;
  const void* source;
  switch (values.TypedArrayType()) {
    case napi_float32_array: {
      const float* const data = values.As<Napi::Float32Array>().Data();
      source = data;
      if (block.type != Type::f32) source = (converted = convert(data, block)).data();
      break;
    }
    case napi_int32_array: {
      const i32* const data = values.As<Napi::Int32Array>().Data();
      source = data;
      if (block.type != Type::i32) source = (converted = convert(data, block)).data();
      break;
    }
    case napi_float64_array:
      converted = convert(values.As<Napi::Float64Array>().Data(), block);
      source = converted.data();
      break;
    default:
      throw Napi::TypeError::New(
          info.Env(), "write: values is not a Float32Array, Float64Array or Int32Array");
  }
  cuda::copyToDevice(block.data.get(), source, block.bytes());
}

Napi::Value readBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const DeviceBuffer& block = getBlock(info[0], "read");
  const size_t length = (size_t)block.length;
  Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, 4 * length);
  readCount++;
  if (block.type == Type::bf16) {
    std::vector<uint16_t> values(length);
    cuda::copyToHost(values.data(), block.data.get(), block.bytes());
    float* const result = static_cast<float*>(memory.Data());
    for (size_t i = 0; i < length; i++) result[i] = fromBf16(values[i]);
  } else {
    cuda::copyToHost(memory.Data(), block.data.get(), block.bytes());
  }
  throwDeviceError(env);
  if (block.type == Type::i32) return Napi::Int32Array::New(env, length, memory, 0);
  return Napi::Float32Array::New(env, length, memory, 0);
}

void throwDeviceError(Napi::Env env) {
  if (const char* error = cuda::lastError())
    throw Napi::Error::New(env, std::string("device error: ") + error);
  cuda::IndexError indexError{};
  cuda::copyToHost(&indexError, cuda::deviceIndexError(), sizeof indexError);
  if (indexError.source == (int)cuda::IndexSource::none) return;
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
      "qkNorm: position",
  };
  throw Napi::RangeError::New(env, std::string(arguments[indexError.source]) + "[" +
                                       std::to_string(indexError.position) + "] is " +
                                       std::to_string(indexError.value) + ", expected 0 to " +
                                       std::to_string(indexError.bound - 1));
}

} // namespace tinybard
