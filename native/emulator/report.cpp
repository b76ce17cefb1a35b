// Error reports. Source lines and function names come from addr2line, which runs only when there is
// something to report.

#include "report.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "../kernel.h"
#include "block.h"

namespace tinybard::cuda::emulator {
namespace {

struct State {
  std::mutex mutex;
  std::string failure;    // of the current launch
  std::string unreported; // the first since the last takeMessage()
  std::string reported;   // the result of the last takeMessage()
};
State& state() {
  static State& instance = *new State;
  return instance;
}

/** Returns a line of addr2line's output: 0, the function; 1, file and line. Empty if unknown. */
std::string addr2line(const void* code, int line) {
  Dl_info info;
  if (!dladdr(code, &info) || !info.dli_fbase) return "";
  uintptr_t at = (uintptr_t)code;
  if (static_cast<const Elf64_Ehdr*>(info.dli_fbase)->e_type == ET_DYN) {
    at -= (uintptr_t)info.dli_fbase;
  }
  char offset[32];
  std::snprintf(offset, sizeof offset, "%#lx", (unsigned long)at);
  const std::string command = std::string("addr2line -Cfe '") + info.dli_fname + "' " + offset;
  std::FILE* const output = popen((command + " 2>/dev/null").c_str(), "r");
  if (!output) return "";
  std::string found;
  for (int byte; (byte = std::fgetc(output)) != EOF;) {
    if (byte == '\n') line--;
    else if (line == 0) found += (char)byte;
  }
  pclose(output);
  return found.compare(0, 2, "??") == 0 ? "" : found;
}

std::string baseName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

void erase(std::string& text, const std::string& part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

} // namespace

std::string toString(uint3 index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," +
         std::to_string(index.z) + ")";
}

std::string toString(SourceLine line) {
  return baseName(line.file) + ":" + std::to_string(line.number);
}

std::string toString(const void* address) {
  char hex[32];
  std::snprintf(hex, sizeof hex, "%p", address);
  return hex;
}

std::string sourceLine(const void* code) {
  // the byte before the return address belongs to the call
  const std::string found = addr2line(static_cast<const char*>(code) - 1, 1);
  if (found.empty()) return toString(code);
  return baseName(found.substr(0, found.find(' '))); // drops "(discriminator 2)"
}

std::string functionName(const void* code) {
  std::string name = addr2line(code, 0);
  if (name.empty()) return "kernel " + toString(code);
  erase(name, "(anonymous namespace)::");
  erase(name, "tinybard::cuda::");
  if (name.compare(0, 5, "void ") == 0) name.erase(0, 5);
  int depth = 0; // of template arguments
  for (size_t i = 0; i < name.size(); i++) {
    if (name[i] == '<') depth++;
    if (name[i] == '>') depth--;
    if (name[i] == '(' && depth == 0) name.resize(i);
  }
  return name;
}

void report(const std::string& message) {
  std::lock_guard<std::mutex> lock(state().mutex);
  if (!state().failure.empty()) return; // later errors may follow from the first
  state().failure = message;
  if (state().unreported.empty()) state().unreported = message;
  std::fprintf(stderr, "emulator: %s\n", message.c_str());
  const char* const setting = std::getenv("TINYBARD_EMULATOR_ABORT");
  if (setting && setting[0] == '1') std::abort();
}

void reportThread(int i, const std::string& what) {
  const std::string kernel = functionName(block->currentLaunch().kernel);
  std::string message = kernel + ": block " + toString(blockIdx);
  if (i >= 0) message += ", thread " + toString(block->thread(i).index);
  report(message + ": " + what);
}

void failThread(int i, const std::string& what) {
  reportThread(i, what);
  block->abandon();
}

void fail(const std::string& what) { failThread(block->runningThread(), what); }

std::string failure() {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().failure;
}

void clearFailure() {
  std::lock_guard<std::mutex> lock(state().mutex);
  state().failure.clear();
}

const char* takeMessage() {
  std::lock_guard<std::mutex> lock(state().mutex);
  state().reported.swap(state().unreported);
  state().unreported.clear();
  return state().reported.empty() ? nullptr : state().reported.c_str();
}

} // namespace tinybard::cuda::emulator
