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

double Call::integer(const char* what) {
  const double x = number(what, "a whole number", true);
  slots[at++].integer = (int64_t)x;
  return x;
}

double Call::real(const char* what) {
  const double x = number(what, "a number", false);
  slots[at++].real = x;
  return x;
}

bool Call::flag(const char* what) {
  bool x = false;
  if (napi_get_value_bool(env, arguments[at], &x) != napi_ok) wrong(what, "is not a boolean");
  slots[at++].flag = x;
  return x;
}

static const char* nameOf(Type type) {
  constexpr const char* names[] = {"f32", "i32", "bf16", "f64"};
  return names[(int)type];
}

bool Call::see(napi_value value, const char* what, bool isWritten, View* view) {
  const char* reason = look(env, value, view);
  if (reason) return wrong(what, reason), false;
  if (view->type == Type::f64) hasDoubles = true;
  ranges.push_back({view->owner, view->data, view->data + view->bytes(), isWritten});
  return problem.empty();
}

void Call::expectType(const char* what, Type type, Type expected) {
  const Type single = type == Type::f64 ? Type::f32 : type; // doubles are for another floor
  if (single != expected)
    wrong(what, std::string("has dtype ") + nameOf(type) + ", expected " + nameOf(expected));
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
  View view;
  if (!see(value, what, isWritten, &view)) return;
  slot.pointer = view.data;
  slot.either = {view.data, view.type};
  if (kind == Kind::i32) expectType(what, view.type, Type::i32);
  if (kind == Kind::f32) expectType(what, view.type, Type::f32);
  if (kind == Kind::F && view.type == Type::i32)
    return wrong(what, "has dtype i32, expected floats");
  if (kind == Kind::F || kind == Kind::W) {
    if (!isChosen) chosen = view.type == Type::f64 ? Type::f32 : view.type;
    isChosen = true;
    isHalf = chosen == Type::bf16;
    expectType(what, view.type, chosen);
  }
  if (length.room > MOST_ELEMENTS) wrong(what, "has more elements than a buffer can have");
  else if (view.length < length.n)
    wrong(what, "has " + std::to_string(view.length) + " elements, expected " +
                    std::to_string((int64_t)length.n));
}

void Call::list(const char* what, bool isWritten, Type type, Entries kind) {
  Slot& slot = slots[at];
  const napi_value value = arguments[at++];
  uint32_t entriesHere = 0;
  bool isArray = false;
  napi_is_array(env, value, &isArray);
  if (!isArray) return wrong(what, "is not a list of buffers");
  napi_get_array_length(env, value, &entriesHere);
  if (entries < 0) entries = entriesHere;
  const bool isNone = kind == Entries::maybeNone && entriesHere == 0;
  if (entriesHere != entries && !isNone)
    return wrong(what, "is a list of another length than the first");
  auto& to = pointers.emplace_back();
  auto& sizes = lengths.emplace_back();
  for (uint32_t i = 0; i < entriesHere && problem.empty(); i++) {
    napi_value element;
    View view;
    if (napi_get_element(env, value, i, &element) != napi_ok) return wrong(what, "cannot be read");
    if (!see(element, what, isWritten, &view)) return;
    to.push_back(reinterpret_cast<float*>(view.data));
    sizes.push_back(view.length);
    expectType(what, view.type, type);
    const int64_t expected = kind == Entries::scalar ? 1 : lengths.front()[i];
    if (view.length != expected)
      wrong(what, "has " + std::to_string(view.length) + " elements at " + std::to_string(i) +
                      ", expected " + std::to_string(expected));
  }
  slot.list = {to.data(), sizes.data(), entriesHere};
}

void Call::checkRanges() {
  for (const Range& range : ranges) { // a getter may have run meanwhile, and given memory away
    char* begin;
    size_t bytes;
    whole(env, range.owner, &begin, &bytes);
    if (range.begin < range.end && (range.begin < begin || range.end > begin + bytes))
      wrong("has", "an argument that was detached while others were read");
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  char *written = nullptr, *any = nullptr;
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
  pendingError.isSet = false;
  run(slots);
  if (pendingError.isSet) napi_throw_range_error(env, nullptr, pendingError.message);
  return !pendingError.isSet;
}

CapturedGraph::~CapturedGraph() {
  for (const Memory& each : memory) napi_delete_reference(env, each.owner);
}

void CapturedGraph::add(napi_env env, Run run, Call& call) {
  for (const Call::Range& range : call.ranges) {
    char* data;
    size_t bytes;
    whole(env, range.owner, &data, &bytes);
    const auto isSame = [=](const Memory& each) { return each.data == data; };
    if (data == nullptr || std::any_of(memory.begin(), memory.end(), isSame)) continue;
    Memory& added = memory.emplace_back(Memory{nullptr, data, bytes, holdOf(env, range.owner)});
    napi_create_reference(env, range.owner, 1, &added.owner);
  }
  // a list's slot points into vectors, whose memory stays where it is when they move
  for (auto& each : call.pointers) pointers.push_back(std::move(each));
  for (auto& each : call.lengths) lengths.push_back(std::move(each));
  steps.push_back({run, {call.slots, call.slots + MAX_PARAMETERS}});
}

CapturedGraph* CapturedGraph::of(napi_env env, napi_value value) {
  napi_valuetype type;
  bool isOurs = false;
  void* recording = nullptr;
  napi_typeof(env, value, &type);
  if (type == napi_external) napi_check_object_type_tag(env, value, &tag, &isOurs);
  if (isOurs) napi_get_value_external(env, value, &recording);
  return static_cast<CapturedGraph*>(recording);
}

bool CapturedGraph::replay(napi_env env) {
  for (const Memory& each : memory) {
    if (each.hold) continue;
    napi_value owner = nullptr;
    char* data;
    size_t bytes;
    napi_get_reference_value(env, each.owner, &owner);
    whole(env, owner, &data, &bytes);
    if (data == each.data && bytes == each.bytes) continue;
    napi_throw_error(env, nullptr, "replay: memory that was recorded has been detached");
    return false;
  }
  return player->play(env, steps);
}

} // namespace tinybard
