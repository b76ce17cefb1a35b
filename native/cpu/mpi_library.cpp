// Opens an MPI library, and finds out which of the three binary interfaces it has.

#include "mpi_library.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>

#ifndef _WIN32
#include <dlfcn.h>
#endif

namespace tinybard::mpi {
#ifdef _WIN32

std::string Library::open(const char*) { return "MPI is not supported on Windows; use WSL"; }

#else

namespace {

Handle word(uintptr_t value) { return reinterpret_cast<Handle>(value); }

/** MPI 5.0, appendix A: the standard ABI. */
Constants standardConstants() {
  return {word(0x101), word(0x210), word(0x247), word(0x142)};
}

/** mpi.h of MPICH, whose ABI Intel MPI, MVAPICH and Cray MPICH share. */
Constants mpichConstants() {
  return {word(0x44000000), word(0x4c00040a), word(0x4c00010d), word(0x54000001)};
}

} // namespace

/** Returns an empty string, or the first reason why the library is of no use. */
std::string Library::open(const char* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  const auto find = [&](const char* name) { return dlsym(library, name); };
  bool isComplete = true;
#define FUNCTION(name, parameters)                                   \
  name = reinterpret_cast<int(*) parameters>(find("MPI_" #name)); \
  isComplete = isComplete && name;
  MPI_FUNCTIONS(FUNCTION)
#undef FUNCTION // words-ok: a parameter of MPI_FUNCTIONS
  if (!isComplete) return std::string(path) + " is not an MPI library";
  const auto getAbiVersion = reinterpret_cast<int (*)(int*, int*)>(find("MPI_Abi_get_version"));
  int major = -1;
  int minor = -1;
  if (getAbiVersion && getAbiVersion(&major, &minor) == SUCCESS && major >= 1) {
    constants = standardConstants();
    return "";
  }
  if (const Handle world = find("ompi_mpi_comm_world")) { // Open MPI's handles are addresses
    constants = {world, find("ompi_mpi_float"), find("ompi_mpi_byte"),
                 find("ompi_mpi_errors_return")};
    if (constants.f32 && constants.byte && constants.errorsReturn) return "";
  }
  char text[8192] = "";
  int length = 0;
  Get_library_version(text, &length); // may be called before MPI_Init
  for (const char* relative : {"MPICH", "Intel(R) MPI", "MVAPICH"}) {
    if (!std::strstr(text, relative)) continue;
    constants = mpichConstants();
    return "";
  }
  return std::string(path) + " has an unknown binary interface, expected that of Open MPI, of " +
         "MPICH, or of MPI 5";
}

#endif

std::string Library::version() const {
  char text[8192] = "";
  int length = 0;
  Get_library_version(text, &length);
  // "Open MPI v4.1.4, package: ...", "MPICH Version:\t4.0.2\n..."
  std::string line = text;
  line.resize(std::min(line.find_first_of(",\n"), line.size()));
  for (const char* word : {" Version:", " Version :"}) {
    const size_t at = line.find(word);
    if (at != std::string::npos) line.replace(at, std::strlen(word), " ");
  }
  std::string words; // separated by one space each
  for (const char c : line) {
    if (!std::isspace((unsigned char)c)) words += c;
    else if (!words.empty() && words.back() != ' ') words += ' ';
  }
  const size_t v = words.find(" v");
  if (v != std::string::npos && std::isdigit((unsigned char)words[v + 2])) words.erase(v + 1, 1);
  return words;
}

std::string Library::describe(int code) const {
  char text[1024] = "";
  int length = 0;
  Error_string(code, text, &length);
  return text;
}

} // namespace tinybard::mpi
