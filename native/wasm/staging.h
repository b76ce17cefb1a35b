// The staging area: the arguments of a call, which JavaScript writes into the module's memory.
#pragma once

namespace tinybard {

/**
 * An argument of a call or an element of a list. All fields are doubles, so that JavaScript writes
 * them through one array. A buffer is one that this memory has allocated: JavaScript looks it up,
 * so its address and length are right.
 */
struct StagedValue {
  enum Kind { number, flag, null, list, f32, i32, f64, otherArray, other };
  double kind;
  double value;  // a number, a flag, the address of a buffer's elements or of a list's values
  double length; // of a buffer or a list
};

} // namespace tinybard
