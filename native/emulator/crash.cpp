// Where a kernel touches memory that is not there, or divides by zero, the processor stops it; here
// that becomes a report like others, and the process lives on.

#include <signal.h>
#include <ucontext.h>

#include <cstdlib>

#include "block.h"
#include "crash.h"
#include "report.h"

namespace tinybard::cuda::emulator {
namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
struct sigaction former[65]; // by signal

/** Where the processor was. */
const char* codeOf(const void* context) {
  const auto* const machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<const char*>(machine->gregs[REG_RIP]);
#else
  return reinterpret_cast<const char*>(machine->pc);
#endif
}

void handle(int signal, siginfo_t* info, void* context) {
  const bool isOverflow = block && block->stacks.of(info->si_addr) >= 0;
  if (!block || (isInside && !isOverflow)) { // not a kernel's: whoever was here before
    sigaction(signal, &former[signal], nullptr); // it comes again at once
    return;
  }
  isInside = true;
  std::string what = "it touches memory that is not there, at " + text(info->si_addr);
  if (isOverflow) {
    what = "its local memory takes more than " + std::to_string(Stacks::room) + " bytes";
  }
  if (signal == SIGFPE) what = "it divides a whole number by 0";
  fail("crash at " + lineOf(codeOf(context) + 1) + ": " + what); // leaves this stack for ever
}

/** A stack for the handler, since that of the thread may be full. */
struct SpareStack {
  std::vector<char> memory = std::vector<char>(128 * 1024);
  bool isOurs = false;
  SpareStack() {
    stack_t present, ours = {};
    if (sigaltstack(nullptr, &present) != 0 || !(present.ss_flags & SS_DISABLE)) return;
    ours.ss_sp = memory.data();
    ours.ss_size = memory.size();
    isOurs = sigaltstack(&ours, nullptr) == 0;
  }
  ~SpareStack() {
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    if (isOurs) sigaltstack(&none, nullptr);
  }
};

} // namespace

void catchCrashes() {
  struct sigaction ours = {};
  ours.sa_sigaction = handle;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int signal : SIGNALS) sigaction(signal, &ours, &former[signal]);
}

void giveBackCrashes() {
  for (const int signal : SIGNALS) sigaction(signal, &former[signal], nullptr);
}

void prepareForCrashes() { static thread_local SpareStack stack; }

} // namespace tinybard::cuda::emulator
