// The conversion and checks of single arguments.

#include "arguments.h"

namespace tinybard {

/** The most elements of a buffer, so that the product of two lengths does not overflow. */
constexpr double MAX_ELEMENTS = 2147483648;
constexpr double MAX_SAFE_INTEGER = 9007199254740991;

static const char* typeName(Type type) {
  constexpr const char* names[] = {"f32", "i32", "bf16", "f64"};
  return names[(int)type];
}

void Arguments::begin(const char* kernelName, const Kernel& kernel) {
  name = kernelName;
  next = kernel.buffers;
  if (count != kernel.parameters)
    setError("has", "%d arguments, expected %d", (int)count, (int)kernel.parameters);
}

double Arguments::number(const char* what, const char* expected, bool isWhole) {
  double x = 0;
  const bool isNumber = readNumber(env, values[next], &x);
  if (!isNumber || (isWhole && !(std::trunc(x) == x && std::fabs(x) <= MAX_SAFE_INTEGER))) {
    setError(what, "is not %s", expected);
    return 0;
  }
  return x;
}

Size Arguments::size(const char* what) {
  const double x = number(what, "an integer >= 0", true);
  if (x < 0) setError(what, "is negative, expected an integer >= 0");
  slots[next++].integer = (int64_t)x;
  return x;
}

double Arguments::integer(const char* what) {
  const double x = number(what, "an integer", true);
  slots[next++].integer = (int64_t)x;
  return x;
}

double Arguments::real(const char* what) {
  const double x = number(what, "a number", false);
  slots[next++].real = x;
  return x;
}

bool Arguments::flag(const char* what) {
  bool x = false;
  if (!readFlag(env, values[next], &x)) setError(what, "is not a boolean");
  slots[next++].flag = x;
  return x;
}

bool Arguments::readBuffer(Value value, const char* what, bool isWritten, BufferView* view) {
  if (const char* problem = inspectBuffer(env, value, view)) {
    setError(what, problem);
    return false;
  }
  if (view->type == Type::f64) hasDoubles = true;
  ranges.push_back({view->owner, view->data, view->data + view->bytes(), isWritten});
  return !error.isSet;
}

void Arguments::checkType(const char* what, Type type, Type expected) {
  const Type actual = type == Type::f64 ? Type::f32 : type; // the caller falls back to TypeScript
  if (actual != expected)
    setError(what, "has dtype %s, expected %s", typeName(type), typeName(expected));
}

void Arguments::buffer(const char* what, Size length, bool isWritten, bool isOptional, Kind kind) {
  Slot& slot = slots[next];
  const Value value = values[next++];
  slot.pointer = nullptr;
  if (isOptional && isNull(env, value)) return;
  BufferView view;
  if (!readBuffer(value, what, isWritten, &view)) return;
  slot.pointer = view.data;
  slot.either = {view.data, view.type};
  if (kind == Kind::i32) checkType(what, view.type, Type::i32);
  if (kind == Kind::f32) checkType(what, view.type, Type::f32);
  if (kind == Kind::F && view.type == Type::i32) {
    setError(what, "has dtype i32, expected a floating-point type");
    return;
  }
  if (kind == Kind::F || kind == Kind::W) {
    if (!hasCallType) callType = view.type == Type::f64 ? Type::f32 : view.type;
    hasCallType = true;
    isBf16 = callType == Type::bf16;
    checkType(what, view.type, callType);
  }
  hasOutput |= isWritten && length.n > 0;
  if (length.atLeast > MAX_ELEMENTS) tooLarge = tooLarge ? tooLarge : what;
  else if (view.length < length.n)
    setError(what, "has %lld elements, expected %lld", (long long)view.length,
             (long long)length.n);
}

void Arguments::list(const char* what, bool isWritten, Type type, ListLength kind) {
  Slot& slot = slots[next];
  const Value value = values[next++];
  uint32_t ownCount = 0;
  if (!readListLength(env, value, &ownCount)) return setError(what, "is not an array of buffers");
  if (listCount < 0) listCount = ownCount;
  const bool isOmitted = kind == ListLength::asFirstOrEmpty && ownCount == 0;
  if (ownCount != listCount && !isOmitted)
    return setError(what, "has %lld buffers, expected %lld", (long long)ownCount,
                    (long long)listCount);
  auto& ownPointers = pointers.emplace_back();
  auto& ownLengths = lengths.emplace_back();
  for (uint32_t i = 0; i < ownCount && !error.isSet; i++) {
    Value element;
    BufferView view;
    if (!readElement(env, value, i, &element)) return setError(what, "cannot be read");
    if (!readBuffer(element, what, isWritten, &view)) return;
    hasOutput |= isWritten && view.length > 0;
    ownPointers.push_back(reinterpret_cast<float*>(view.data));
    ownLengths.push_back(view.length);
    checkType(what, view.type, type);
    const int64_t expected = kind == ListLength::scalars ? 1 : lengths.front()[i];
    if (view.length != expected)
      setError(what, "has %lld elements at %lld, expected %lld", (long long)view.length,
               (long long)i, (long long)expected);
  }
  slot.list = {ownPointers.data(), ownLengths.data(), ownCount};
}

void Arguments::checkRanges() {
  for (const Range& range : ranges) { // a getter of a later argument may have detached an earlier
    if (range.begin == range.end) continue;
    const Extent extent = bufferExtent(env, range.owner);
    if (range.begin < extent.data || range.end > extent.data + extent.bytes)
      setError("has", "an argument that was detached while others were read");
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  char* writtenEnd = nullptr;
  char* anyEnd = nullptr;
  for (const Range& range : ranges) {
    if (range.begin == range.end) continue;
    if (range.begin < writtenEnd || (range.isWritten && range.begin < anyEnd))
      setError("has", "an output that overlaps another argument");
    anyEnd = std::max(anyEnd, range.end);
    if (range.isWritten) writtenEnd = std::max(writtenEnd, range.end);
  }
}

const char* Arguments::finish() {
  if (hasOutput && tooLarge) setError(tooLarge, "has more elements than a buffer can have");
  if (!error.isSet) checkRanges();
  return error.isSet ? error.text : nullptr;
}

} // namespace tinybard
