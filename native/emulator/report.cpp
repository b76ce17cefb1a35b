// Mistakes in words. Where code comes from is asked of addr2line, only when there is something to
// report.

#include "report.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "../call.h"
#include "block.h"

namespace tinybard::cuda::emulator {
namespace {

struct State {
  std::mutex mutex;
  std::string failure; // of the present launch
  std::string unasked, asked;
};
State& state() {
  static State& only = *new State;
  return only;
}

/** What addr2line has for an address: line 0 is its function, line 1 its place; empty: nothing. */
std::string ask(const void* code, int line) {
  Dl_info info;
  if (!dladdr(code, &info) || !info.dli_fbase) return "";
  uintptr_t at = (uintptr_t)code;
  if (static_cast<const Elf64_Ehdr*>(info.dli_fbase)->e_type == ET_DYN) {
    at -= (uintptr_t)info.dli_fbase;
  }
  char offset[32];
  std::snprintf(offset, sizeof offset, "%#lx", (unsigned long)at);
  const std::string command = std::string("addr2line -Cfe '") + info.dli_fname + "' " + offset;
  std::FILE* const answer = popen((command + " 2>/dev/null").c_str(), "r");
  if (!answer) return "";
  std::string found;
  for (int byte; (byte = std::fgetc(answer)) != EOF;) {
    if (byte == '\n') line--;
    else if (line == 0) found += (char)byte;
  }
  pclose(answer);
  return found.compare(0, 2, "??") == 0 ? "" : found;
}

std::string withoutFolder(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

void erase(std::string& text, const std::string& part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

} // namespace

std::string text(uint3 index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," +
         std::to_string(index.z) + ")";
}

std::string text(Here here) { return withoutFolder(here.file) + ":" + std::to_string(here.line); }

std::string text(const void* address) {
  char hex[32];
  std::snprintf(hex, sizeof hex, "%p", address);
  return hex;
}

std::string lineOf(const void* code) {
  const std::string found = ask(static_cast<const char*>(code) - 1, 1); // within the call
  if (found.empty()) return text(code);
  return withoutFolder(found.substr(0, found.find(' '))); // without "(discriminator 2)"
}

std::string functionAt(const void* code) {
  std::string name = ask(code, 0);
  if (name.empty()) return "kernel " + text(code);
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

void note(const std::string& message) {
  std::lock_guard<std::mutex> lock(state().mutex);
  if (!state().failure.empty()) return; // the rest may come of the first
  state().failure = message;
  if (state().unasked.empty()) state().unasked = message;
  std::fprintf(stderr, "emulator: %s\n", message.c_str());
  const char* const wanted = std::getenv("TINYBARD_EMULATOR_ABORT");
  if (wanted && wanted[0] == '1') std::abort();
}

void noteOf(int i, const std::string& what) {
  std::string message = functionAt(block->launched().kernel) + ": block " + text(blockIdx);
  if (i >= 0) message += ", thread " + text(block->thread(i).index);
  note(message + ": " + what);
}

void failOf(int i, const std::string& what) {
  noteOf(i, what);
  block->giveUp();
}

void fail(const std::string& what) { failOf(block->running(), what); }

std::string failure() {
  std::lock_guard<std::mutex> lock(state().mutex);
  return state().failure;
}

void forgetFailure() {
  std::lock_guard<std::mutex> lock(state().mutex);
  state().failure.clear();
}

const char* takeMessage() {
  std::lock_guard<std::mutex> lock(state().mutex);
  state().asked.swap(state().unasked);
  state().unasked.clear();
  return state().asked.empty() ? nullptr : state().asked.c_str();
}

} // namespace tinybard::cuda::emulator
