// Lets a process of Windows receive Ctrl-C, Ctrl-Break or the end of its console, as if they came
// from a console of its own: Windows calls CtrlRoutine in a new thread of the process.
//
// usage: console-event PID EVENT, where EVENT is 0 for Ctrl-C, 1 for Ctrl-Break, 2 for closing

#include <windows.h>

#include <cstdio>
#include <cstdlib>

namespace {

/// Prints the error of the last function, and returns the exit code of the program.
int fail(const char* function) {
  std::fprintf(stderr, "%s: error %lu\n", function, GetLastError());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, std::atoi(argv[1]));
  if (!process) return fail("OpenProcess");
  // The module has the same address in every process.
  const FARPROC routine = GetProcAddress(GetModuleHandleA("kernelbase"), "CtrlRoutine");
  if (!routine) return fail("GetProcAddress");
  void* event = reinterpret_cast<void*>(static_cast<INT_PTR>(std::atoi(argv[2])));
  const auto start = reinterpret_cast<LPTHREAD_START_ROUTINE>(reinterpret_cast<void*>(routine));
  if (!CreateRemoteThread(process, nullptr, 0, start, event, 0, nullptr))
    return fail("CreateRemoteThread");
  return 0;
}
