// The checks of a call's arguments, and the recording of calls.

#include "recording.h"

#include <cmath>

namespace tinybard {

/** The most elements of a buffer, so that no product of the lengths of two overflows. */
constexpr double MOST_ELEMENTS = 2147483648;

void State::attach(napi_env env) {
  const auto end = [](napi_env, void* data, void*) { delete static_cast<State*>(data); };
  napi_set_instance_data(env, new State, end, nullptr);
}

State& State::of(napi_env env) {
  void* data;
  napi_get_instance_data(env, &data);
  return *static_cast<State*>(data);
}

void Call::wrong(const char* what, const std::string& text) {
  if (problem.empty()) problem = std::string(name) + ": " + what + " " + text;
}

void Call::expect(size_t wanted) {
  if (count != wanted)
    wrong("has", std::to_string(count) + " arguments, expected " + std::to_string(wanted));
}

double Call::number(const char* what, const char* expected, bool isWhole) {
  double x = 0;
  const bool isNumber = napi_get_value_double(env, arguments[at], &x) == napi_ok;
  if (!isNumber || (isWhole && !(std::trunc(x) == x && std::fabs(x) <= 9007199254740991.0))) {
    wrong(what, std::string("is not ") + expected);
    return 0;
  }
  return x;
}

Size Call::size(const char* what) {
  const double x = number(what, "a whole number from 0 up", true);
  if (x < 0) wrong(what, "is negative, expected a whole number from 0 up");
  slots[at++].integer = (int64_t)x;
  return x;
}

void Call::integer(const char* what) {
  slots[at].integer = (int64_t)number(what, "a whole number", true);
  at++;
}

void Call::real(const char* what) {
  slots[at].real = number(what, "a number", false);
  at++;
}

void Call::flag(const char* what) {
  bool x = false;
  if (napi_get_value_bool(env, arguments[at], &x) != napi_ok) wrong(what, "is not a boolean");
  slots[at++].flag = x;
}

void* Call::view(napi_value value, const char* what, bool isWritten, napi_typedarray_type* type,
                 int64_t* length) {
  void* data = nullptr;
  size_t elements = 0;
  napi_value buffer = nullptr, resizable;
  bool isArray = false, isPlain = false, isDetached = false, canResize = false;
  *length = 0;
  napi_is_typedarray(env, value, &isArray);
  if (!isArray) return wrong(what, "is no typed array"), nullptr;
  napi_get_typedarray_info(env, value, type, &elements, &data, &buffer, nullptr);
  napi_is_arraybuffer(env, buffer, &isPlain);
  if (!isPlain) return wrong(what, "lies in shared memory, expected memory of its own"), nullptr;
  if (elements == 0) napi_is_detached_arraybuffer(env, buffer, &isDetached);
  if (isDetached) return wrong(what, "is detached"), nullptr;
  if (napi_get_named_property(env, buffer, "resizable", &resizable) != napi_ok)
    return wrong(what, "cannot be read"), nullptr;
  napi_get_value_bool(env, resizable, &canResize); // undefined where Node has no such buffers
  if (canResize) return wrong(what, "lies in a resizable buffer, expected a fixed one"), nullptr;
  if (*type == napi_float64_array) hasDoubles = true;
  else if (*type != napi_float32_array && *type != napi_int32_array)
    return wrong(what, "is neither a Float32Array nor an Int32Array"), nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const size_t bytes = elements * (*type == napi_float64_array ? 8 : 4);
  ranges.push_back({buffer, begin, begin + bytes, isWritten});
  *length = (int64_t)elements;
  return data;
}

void Call::typed(const char* what, Size length, bool isWritten, bool mayBeNull, Kind kind) {
  Slot& slot = slots[at];
  const napi_value value = arguments[at++];
  slot.pointer = nullptr;
  if (mayBeNull) {
    napi_valuetype valueType;
    napi_typeof(env, value, &valueType);
    if (valueType == napi_null) return;
  }
  napi_typedarray_type type = napi_float32_array;
  int64_t elements;
  slot.pointer = view(value, what, isWritten, &type, &elements);
  slot.either = {slot.pointer, type == napi_float32_array};
  if (!problem.empty()) return;
  const bool isInteger = type == napi_int32_array;
  if (kind == Kind::i32 && !isInteger) wrong(what, "is not an Int32Array");
  if (kind == Kind::f32 && isInteger) wrong(what, "is an Int32Array, expected floats");
  if (kind == Kind::word && wordType < 0) wordType = type;
  if (kind == Kind::word && wordType != type) wrong(what, "has another type than x");
  if (length.room > MOST_ELEMENTS) wrong(what, "has more elements than a buffer can have");
  else if (elements < length.n)
    wrong(what, "has " + std::to_string(elements) + " elements, expected " +
                    std::to_string((int64_t)length.n));
}

void Call::list(const char* what, bool isWritten, bool isScalar) {
  Slot& slot = slots[at];
  const napi_value value = arguments[at++];
  uint32_t entriesHere = 0;
  bool isArray = false;
  napi_is_array(env, value, &isArray);
  if (!isArray) return wrong(what, "is not a list of typed arrays");
  napi_get_array_length(env, value, &entriesHere);
  if (entries < 0) entries = entriesHere;
  if (entriesHere != entries) return wrong(what, "is a list of another length than the first");
  auto& to = pointers.emplace_back();
  auto& sizes = lengths.emplace_back();
  for (uint32_t i = 0; i < entriesHere && problem.empty(); i++) {
    napi_value element;
    napi_typedarray_type type = napi_float32_array;
    int64_t elements;
    if (napi_get_element(env, value, i, &element) != napi_ok) return wrong(what, "cannot be read");
    to.push_back(static_cast<float*>(view(element, what, isWritten, &type, &elements)));
    sizes.push_back(elements);
    if (type == napi_int32_array) wrong(what, "has an Int32Array, expected floats");
    const int64_t expected = isScalar ? 1 : lengths.front()[i];
    if (elements != expected)
      wrong(what, "has " + std::to_string(elements) + " elements at " + std::to_string(i) +
                      ", expected " + std::to_string(expected));
  }
  slot.list = {to.data(), sizes.data(), entriesHere};
}

void Call::checkRanges() {
  for (const Range& range : ranges) { // a getter may have run meanwhile, and given memory away
    void* data = nullptr;
    size_t bytes = 0;
    napi_get_arraybuffer_info(env, range.buffer, &data, &bytes);
    const auto begin = reinterpret_cast<uintptr_t>(data);
    if (range.begin < range.end && (range.begin < begin || range.end > begin + bytes))
      wrong("has", "an argument that was detached while others were read");
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  uintptr_t written = 0, any = 0;
  for (const Range& range : ranges) { // what is written to may overlap with nothing else
    if (range.begin == range.end) continue;
    if (range.begin < written || (range.isWritten && range.begin < any))
      wrong("has", "a result that overlaps another argument");
    any = std::max(any, range.end);
    if (range.isWritten) written = std::max(written, range.end);
  }
}

bool Call::throwIfWrong() {
  if (problem.empty()) checkRanges();
  if (problem.empty()) return false;
  napi_throw_type_error(env, nullptr, problem.c_str()); // no effect where a getter has thrown
  return true;
}

bool runKernel(napi_env env, Run run, const Slot* slots) {
  refusal.isSet = false;
  run(slots);
  if (refusal.isSet) napi_throw_range_error(env, nullptr, refusal.message);
  return !refusal.isSet;
}

Recording::~Recording() {
  for (const Memory& each : memory) napi_delete_reference(env, each.buffer);
}

void Recording::add(napi_env env, Run run, Call& call) {
  for (const Call::Range& range : call.ranges) {
    void* data = nullptr;
    size_t bytes = 0;
    napi_get_arraybuffer_info(env, range.buffer, &data, &bytes);
    const auto isSame = [=](const Memory& each) { return each.data == data; };
    if (data == nullptr || std::any_of(memory.begin(), memory.end(), isSame)) continue;
    Memory& added = memory.emplace_back(Memory{nullptr, data, bytes});
    napi_create_reference(env, range.buffer, 1, &added.buffer);
  }
  // a list's slot points into vectors, whose memory stays where it is when they move
  for (auto& each : call.pointers) pointers.push_back(std::move(each));
  for (auto& each : call.lengths) lengths.push_back(std::move(each));
  steps.push_back({run, {call.slots, call.slots + Call::most}});
}

void Recording::replay(napi_env env) {
  for (const Memory& each : memory) {
    napi_value buffer = nullptr;
    void* data = nullptr;
    size_t bytes = 0;
    napi_get_reference_value(env, each.buffer, &buffer);
    if (napi_get_arraybuffer_info(env, buffer, &data, &bytes) == napi_ok && data == each.data &&
        bytes == each.bytes)
      continue;
    napi_throw_error(env, nullptr, "replay: memory that was recorded has been detached");
    return;
  }
  for (const Step& step : steps)
    if (!runKernel(env, step.run, step.slots.data())) return;
}

} // namespace tinybard
