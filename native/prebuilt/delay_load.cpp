// For Windows builds by mingw: the addon's Node-API functions come from the program that loads it,
// whatever its name is (node.exe, a renamed copy, Electron). node-gyp links the same hook into
// builds by MSVC.

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <delayimp.h>

namespace {

FARPROC WINAPI useHostProgram(unsigned event, DelayLoadInfo* info) {
  const bool isHost = event == dliNotePreLoadLibrary && lstrcmpiA(info->szDll, "node.exe") == 0;
  return isHost ? reinterpret_cast<FARPROC>(GetModuleHandleA(nullptr)) : nullptr;
}

} // namespace

extern "C" {
PfnDliHook __pfnDliNotifyHook2 = useHostProgram;
}
