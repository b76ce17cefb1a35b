// For Windows builds by mingw: the addon's Node-API functions come from the program that loads it,
// whatever its name is (node.exe, a renamed copy, Electron). node-gyp links the same hook into
// builds by MSVC. The addon also stays loaded until the process ends.

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <delayimp.h>

namespace {

/**
 * Keeps the addon in memory. Node unloads it when the last worker thread that uses it ends, but
 * mingw destroys thread_local variables after that, at the end of the thread: in a library that
 * unloads itself meanwhile, where the thread would never end.
 */
void stayLoaded() {
  HMODULE module;
  const auto address = reinterpret_cast<LPCSTR>(&stayLoaded);
  GetModuleHandleExA(
      GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, address, &module);
}

/** Runs before the addon's first call of Node-API. */
FARPROC WINAPI useHostProgram(unsigned event, DelayLoadInfo* info) {
  const bool isHost = event == dliNotePreLoadLibrary && lstrcmpiA(info->szDll, "node.exe") == 0;
  if (isHost) stayLoaded();
  return isHost ? reinterpret_cast<FARPROC>(GetModuleHandleA(nullptr)) : nullptr;
}

} // namespace

extern "C" {
PfnDliHook __pfnDliNotifyHook2 = useHostProgram;
}
