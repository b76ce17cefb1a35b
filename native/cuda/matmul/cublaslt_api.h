// The part of cuBLASLt's C API that we use, declared here so that neither its header nor the
// library is needed to build: the library is opened with dlopen() at run time, and its functions
// become members of Functions. Handles are void*. Values are those of cublasLt.h in CUDA 12 and 13.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "../library_folders.h"

struct CUstream_st;

namespace tinybard::cuda::lt {

// cudaDataType
constexpr int R_32F = 0;
constexpr int R_16BF = 14;

// cublasComputeType_t
constexpr int COMPUTE_32F = 68;
constexpr int COMPUTE_32F_FAST_TF32 = 77;

// cublasOperation_t
constexpr int OP_N = 0;
constexpr int OP_T = 1;

// cublasLtMatrixLayoutAttribute_t, with the types of the values
constexpr int LAYOUT_BATCH_COUNT = 5;          // int32_t
constexpr int LAYOUT_STRIDED_BATCH_OFFSET = 6; // int64_t

// cublasLtMatmulDescAttributes_t
constexpr int DESC_TRANSA = 3;            // int32_t
constexpr int DESC_TRANSB = 4;            // int32_t
constexpr int DESC_EPILOGUE = 7;          // uint32_t
constexpr int DESC_BIAS_POINTER = 8;      // void*
constexpr int DESC_AUX_POINTER = 11;      // void*
constexpr int DESC_AUX_LD = 12;           // int64_t
constexpr int DESC_AUX_BATCH_STRIDE = 13; // int64_t

// cublasLtMatmulPreferenceAttributes_t
constexpr int PREF_MAX_WORKSPACE_BYTES = 1;   // uint64_t
constexpr int PREF_REDUCTION_SCHEME_MASK = 3; // uint32_t
constexpr int PREF_MIN_ALIGNMENT_A_BYTES = 5; // uint32_t; B, C and D follow

// cublasLtReductionScheme_t
constexpr uint32_t REDUCTION_SCHEME_COMPUTE_TYPE = 2;

// cublasLtEpilogue_t: flags that can be combined
constexpr uint32_t DEFAULT = 1;
constexpr uint32_t RELU = 2;
constexpr uint32_t BIAS = 4;
constexpr uint32_t GELU = 32;
constexpr uint32_t DGELU = 64;
constexpr uint32_t AUX = 128;
constexpr uint32_t BGRADB = 512;

/** cublasLtMatmulAlgo_t: opaque, but copied and saved by value. */
struct Algorithm {
  uint64_t data[8];
};

/** cublasLtMatmulHeuristicResult_t: an algorithm that the library proposes. */
struct HeuristicResult {
  Algorithm algorithm;
  size_t workspaceBytes;
  int status;
  float waves;
  int reserved[4];
};

// Name without the prefix cublasLt, result type, parameters. A status of 0 is success.
#define CUBLASLT_FUNCTIONS(FUNCTION)                                                              \
  FUNCTION(GetVersion, size_t, ())                                                                \
  FUNCTION(Create, int, (void** handle))                                                          \
  FUNCTION(MatmulDescCreate, int, (void** operation, int computeType, int scaleType))             \
  FUNCTION(MatmulDescSetAttribute, int,                                                           \
           (void* operation, int attribute, const void* value, size_t bytes))                     \
  FUNCTION(MatrixLayoutCreate, int,                                                               \
           (void** layout, int type, uint64_t rows, uint64_t columns, int64_t ld))                \
  FUNCTION(MatrixLayoutSetAttribute, int,                                                         \
           (void* layout, int attribute, const void* value, size_t bytes))                        \
  FUNCTION(MatmulPreferenceCreate, int, (void** preference))                                      \
  FUNCTION(MatmulPreferenceSetAttribute, int,                                                     \
           (void* preference, int attribute, const void* value, size_t bytes))                    \
  FUNCTION(MatmulAlgoGetHeuristic, int,                                                           \
           (void* handle, void* operation, void* a, void* b, void* c, void* d, void* preference,  \
            int requestedCount, HeuristicResult* results, int* returnedCount))                    \
  FUNCTION(MatmulAlgoCheck, int,                                                                  \
           (void* handle, void* operation, void* a, void* b, void* c, void* d,                    \
            const Algorithm* algorithm, HeuristicResult* result))                                 \
  FUNCTION(Matmul, int,                                                                           \
           (void* handle, void* operation, const void* alpha, const void* a, void* layoutA,       \
            const void* b, void* layoutB, const void* beta, const void* c, void* layoutC, void* d, \
            void* layoutD, const Algorithm* algorithm, void* workspace, size_t workspaceBytes,    \
            CUstream_st* stream))

#define CUBLASLT_DECLARE(name, Result, parameters) Result(*name) parameters = nullptr;
#define CUBLASLT_LOAD(name, Result, parameters)                                    \
  name = reinterpret_cast<Result(*) parameters>(dlsym(library, "cublasLt" #name)); \
  isComplete = isComplete && name;

/** The functions of the library as pointers, null until open() succeeds. */
struct Functions {
  CUBLASLT_FUNCTIONS(CUBLASLT_DECLARE)
  std::string path; // of the library that was opened

  /**
   * Opens the library: below CUBLAS_ROOT, on the loader's search path, or in /usr/local/cuda.
   * Returns false if no library with all functions was found.
   */
  bool open() {
    for (const std::string& folder : libraryFolders("CUBLAS_ROOT")) {
      for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
        if (openFile(folder + name)) return true;
      }
    }
    return false;
  }

  /** Returns the version of the library, such as "13.1.2". */
  std::string version() const {
    const size_t number = GetVersion(); // 130102 is 13.1.2
    char text[32];
    std::snprintf(text, sizeof text, "%zu.%zu.%zu", number / 10000, number / 100 % 100,
                  number % 100);
    return text;
  }

 private:
  bool openFile(const std::string& file) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    bool isComplete = true;
    CUBLASLT_FUNCTIONS(CUBLASLT_LOAD)
    if (!isComplete) {
      dlclose(library);
      return false;
    }
    Dl_info info;
    path = dladdr(reinterpret_cast<void*>(Matmul), &info) ? info.dli_fname : file;
    return true;
  }
};

} // namespace tinybard::cuda::lt
