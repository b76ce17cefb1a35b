// What the module exports to JavaScript, and the one function that it imports. Addresses and sizes
// cross the border as doubles, which hold them exactly with 32-bit and with 64-bit addresses.
#pragma once

#define EXPORT(name) __attribute__((export_name(#name)))

namespace tinybard {

/**
 * Throws a RangeError in JavaScript. It ends the calls in progress without their destructors;
 * recover() must then put the module in order.
 */
[[noreturn]] __attribute__((import_module("env"), import_name("throwOutOfMemory"))) void
throwOutOfMemory(double bytes);

} // namespace tinybard
