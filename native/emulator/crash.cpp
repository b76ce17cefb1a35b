// Signal handlers that turn a kernel's invalid access or integer division by zero into a report, so
// that the process continues.

#include <signal.h>
#include <ucontext.h>

#include <cstdlib>

#include "block.h"
#include "crash.h"
#include "report.h"

namespace tinybard::cuda::emulator {
namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
struct sigaction previous[65]; // by signal

/** Returns the address of the instruction that raised the signal. */
const char* instructionAddress(const void* context) {
  const auto* const machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<const char*>(machine->gregs[REG_RIP]);
#else
  return reinterpret_cast<const char*>(machine->pc);
#endif
}

void handle(int signal, siginfo_t* info, void* context) {
  const bool isOverflow = block && block->stacks.indexOf(info->si_addr) >= 0;
  if (!block || (isInEmulator && !isOverflow)) { // not in a kernel: for the previous handler
    sigaction(signal, &previous[signal], nullptr); // raised again on return
    return;
  }
  isInEmulator = true;
  std::string what = "access to unmapped memory at " + toString(info->si_addr);
  if (isOverflow) {
    what = "its local memory exceeds " + std::to_string(Stacks::SIZE) + " bytes";
  }
  if (signal == SIGFPE) what = "integer division by zero";
  // leaves this stack without returning to it
  fail("crash at " + sourceLine(instructionAddress(context) + 1) + ": " + what);
}

/** A stack for the handler, since the thread's may have overflowed. */
struct HandlerStack {
  std::vector<char> memory = std::vector<char>(128 * 1024);
  bool isInstalled = false;
  HandlerStack() {
    stack_t present;
    stack_t own = {};
    if (sigaltstack(nullptr, &present) != 0 || !(present.ss_flags & SS_DISABLE)) return;
    own.ss_sp = memory.data();
    own.ss_size = memory.size();
    isInstalled = sigaltstack(&own, nullptr) == 0;
  }
  ~HandlerStack() {
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    if (isInstalled) sigaltstack(&none, nullptr);
  }
};

} // namespace

void installCrashHandlers() {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int signal : SIGNALS) sigaction(signal, &action, &previous[signal]);
}

void restoreCrashHandlers() {
  for (const int signal : SIGNALS) sigaction(signal, &previous[signal], nullptr);
}

void prepareThreadForCrashes() { static thread_local HandlerStack stack; }

} // namespace tinybard::cuda::emulator
