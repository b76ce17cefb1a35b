// Where to look for the libraries that are opened at run time.
#pragma once

#include <array>
#include <cstdlib>
#include <string>

namespace tinybard::cuda {

/** Returns prefixes of paths: below the folder that the environment variable names, on the loader's
 *  search path, and in /usr/local/cuda. */
inline std::array<std::string, 4> libraryFolders(const char* variable) {
  const char* const root = std::getenv(variable);
  return {
      root ? std::string(root) + "/lib/" : "",
      root ? std::string(root) + "/lib64/" : "",
      "",
      "/usr/local/cuda/lib64/",
  };
}

} // namespace tinybard::cuda
