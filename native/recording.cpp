// The checks of a call's arguments, and the recording of calls.

#include "recording.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace tinybard {

void State::attach(napi_env env) {
  auto* state = new State;
  napi_value name;
  napi_create_string_utf8(env, "resizable", NAPI_AUTO_LENGTH, &name);
  napi_value holder; // strings cannot be referenced in every version; an object can
  napi_create_object(env, &holder);
  napi_set_named_property(env, holder, "name", name);
  napi_create_reference(env, holder, 1, &state->resizable);
  const auto end = [](napi_env, void* data, void*) { delete static_cast<State*>(data); };
  napi_set_instance_data(env, state, end, nullptr);
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
  for (size_t i = count; i < most; i++) napi_get_undefined(env, &arguments[i]);
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
  return slots[at++].integer = x < 0 ? 0 : (int64_t)x;
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
  napi_value buffer;
  *length = 0;
  bool isArray = false;
  napi_is_typedarray(env, value, &isArray);
  if (!isArray) return wrong(what, "is no typed array"), nullptr;
  napi_get_typedarray_info(env, value, type, &elements, &data, &buffer, nullptr);
  bool isPlain = false;
  napi_is_arraybuffer(env, buffer, &isPlain);
  if (!isPlain) return wrong(what, "lies in shared memory, expected memory of its own"), nullptr;
  napi_value holder, key, resizable;
  bool canResize = false;
  napi_get_reference_value(env, state.resizable, &holder);
  napi_get_named_property(env, holder, "name", &key);
  if (napi_get_property(env, buffer, key, &resizable) == napi_ok)
    napi_get_value_bool(env, resizable, &canResize);
  if (canResize) return wrong(what, "lies in a resizable buffer, expected a fixed one"), nullptr;
  const size_t bytes = elements * (*type == napi_float64_array ? 8 : 4);
  const auto begin = reinterpret_cast<uintptr_t>(data);
  if (*type == napi_float64_array) hasDoubles = true;
  else if (*type != napi_float32_array && *type != napi_int32_array)
    return wrong(what, "is neither a Float32Array nor an Int32Array"), nullptr;
  ranges.push_back({buffer, begin, begin + bytes, isWritten});
  *length = (int64_t)elements;
  return data;
}

void Call::typed(const char* what, int64_t length, bool isWritten, bool mayBeNull, Kind kind) {
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
  const bool isDouble = type == napi_float64_array, isInteger = type == napi_int32_array;
  if (kind == Kind::i32 && !isInteger) wrong(what, "is not an Int32Array");
  if (kind == Kind::f32 && isInteger) wrong(what, "is an Int32Array, expected floats");
  if (kind == Kind::word && wordType < 0) wordType = type;
  if (kind == Kind::word && !isDouble && wordType != type) wrong(what, "has another type than x");
  if (elements < length) {
    const std::string wanted = length == INT64_MAX ? "more than memory can have" : std::to_string(length);
    wrong(what, "has " + std::to_string(elements) + " elements, expected " + wanted);
  }
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
  auto& to = pointers.emplace_back(entriesHere);
  auto& sizes = lengths.emplace_back(entriesHere);
  for (uint32_t i = 0; i < entriesHere && problem.empty(); i++) {
    napi_value element;
    napi_typedarray_type type = napi_float32_array;
    if (napi_get_element(env, value, i, &element) != napi_ok)
      return wrong(what, "cannot be read");
    to[i] = static_cast<float*>(view(element, what, isWritten, &type, &sizes[i]));
    if (type == napi_int32_array) wrong(what, "has an Int32Array, expected floats");
    const int64_t expected = isScalar ? 1 : lengths.front()[i];
    if (sizes[i] != expected)
      wrong(what, "has " + std::to_string(sizes[i]) + " elements at " + std::to_string(i) +
                      ", expected " + std::to_string(expected));
  }
  slot.list = {to.data(), sizes.data(), entriesHere};
}

bool Call::throwIfWrong() {
  if (problem.empty()) { // what is written to may overlap with nothing else
    std::sort(ranges.begin(), ranges.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    uintptr_t written = 0, any = 0;
    for (const Range& range : ranges) {
      if (range.begin == range.end) continue;
      if (range.begin < written || (range.isWritten && range.begin < any))
        wrong("has", "a result that overlaps another argument");
      any = std::max(any, range.end);
      if (range.isWritten) written = std::max(written, range.end);
    }
  }
  if (problem.empty()) return false;
  bool isPending = false;
  napi_is_exception_pending(env, &isPending);
  if (!isPending) napi_throw_type_error(env, nullptr, problem.c_str());
  return true;
}

bool runGuarded(napi_env env, Run run, const Slot* slots) {
  refusal.isSet = false;
  try {
    run(slots);
  } catch (const std::bad_alloc&) {
    refuse("out of memory: a kernel has no room to work");
  }
  if (refusal.isSet) napi_throw_range_error(env, nullptr, refusal.message);
  return !refusal.isSet;
}

Recording::~Recording() {
  for (const Memory& each : memory) napi_delete_reference(env, each.buffer);
}

void Recording::add(napi_env env, Run run, Call& call) {
  Step& step = steps.emplace_back();
  step.run = run;
  step.slots.assign(call.slots, call.slots + Call::most);
  // a list's slot points into vectors, whose memory stays where it is when they move
  for (auto& each : call.pointers) pointers.push_back(std::move(each));
  for (auto& each : call.lengths) lengths.push_back(std::move(each));
  for (const Call::Range& range : call.ranges) {
    void* data;
    size_t bytes;
    napi_get_arraybuffer_info(env, range.buffer, &data, &bytes);
    const auto isSame = [=](const Memory& each) { return each.data == data; };
    if (data == nullptr || std::any_of(memory.begin(), memory.end(), isSame)) continue;
    napi_ref reference;
    napi_create_reference(env, range.buffer, 1, &reference);
    memory.push_back({reference, data, bytes});
  }
}

void Recording::replay(napi_env env) {
  for (const Memory& each : memory) {
    napi_value buffer;
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
    if (!runGuarded(env, step.run, step.slots.data())) return;
}

} // namespace tinybard
