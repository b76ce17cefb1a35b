// What we use of cuBLASLt, declared by ourselves, so that neither its header nor the library is
// needed to build: opaque pointers, the numbers of types and attributes, and its functions as
// pointers that are found when the program runs. All as cublasLt.h of CUDA 12 and 13 has them.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

struct CUstream_st;

namespace tinybard::cuda::lt {

constexpr int R_32F = 0, R_16BF = 14;                                 // cudaDataType
constexpr int COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77;           // cublasComputeType_t
constexpr int OP_N = 0, OP_T = 1;                                     // cublasOperation_t
constexpr int LAYOUT_BATCH_COUNT = 5, LAYOUT_STRIDED_BATCH_OFFSET = 6; // of int32_t, int64_t
constexpr int DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7;    // int32_t, int32_t, uint32_t
constexpr int DESC_BIAS_POINTER = 8, DESC_AUX_POINTER = 11;           // void*
constexpr int DESC_AUX_LD = 12, DESC_AUX_BATCH_STRIDE = 13;           // int64_t
constexpr int PREF_MAX_WORKSPACE_BYTES = 1;                           // uint64_t
constexpr int PREF_REDUCTION_SCHEME_MASK = 3;                         // uint32_t
constexpr int PREF_MIN_ALIGNMENT_A_BYTES = 5;                         // uint32_t; then B, C, D
constexpr uint32_t REDUCTION_SCHEME_COMPUTE_TYPE = 2;

// cublasLtEpilogue_t: the sum of what is wanted
constexpr uint32_t DEFAULT = 1, RELU = 2, BIAS = 4, GELU = 32, DGELU = 64, AUX = 128, BGRADB = 512;

struct Algorithm {
  uint64_t data[8];
};

/** A proposal of the heuristic. */
struct Proposal {
  Algorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

// name, what it returns, parameters. Statuses are 0 if all went well.
#define LT_FUNCTIONS(FUNCTION)                                                                    \
  FUNCTION(GetVersion, size_t, ())                                                                \
  FUNCTION(Create, int, (void** handle))                                                          \
  FUNCTION(MatmulDescCreate, int, (void** operation, int computeType, int scaleType))             \
  FUNCTION(MatmulDescSetAttribute, int, (void* operation, int name, const void* x, size_t bytes)) \
  FUNCTION(MatrixLayoutCreate, int,                                                               \
           (void** layout, int type, uint64_t rows, uint64_t columns, int64_t ld))                \
  FUNCTION(MatrixLayoutSetAttribute, int, (void* layout, int name, const void* x, size_t bytes))  \
  FUNCTION(MatmulPreferenceCreate, int, (void** preference))                                      \
  FUNCTION(MatmulPreferenceSetAttribute, int,                                                     \
           (void* preference, int name, const void* x, size_t bytes))                             \
  FUNCTION(MatmulAlgoGetHeuristic, int,                                                           \
           (void* handle, void* operation, void* a, void* b, void* c, void* d, void* preference,  \
            int wanted, Proposal* proposals, int* count))                                         \
  FUNCTION(MatmulAlgoCheck, int,                                                                  \
           (void* handle, void* operation, void* a, void* b, void* c, void* d,                    \
            const Algorithm* algorithm, Proposal* result))                                        \
  FUNCTION(Matmul, int,                                                                           \
           (void* handle, void* operation, const void* alpha, const void* a, void* layoutA,       \
            const void* b, void* layoutB, const void* beta, const void* c, void* layoutC, void* d, \
            void* layoutD, const Algorithm* algorithm, void* workspace, size_t workspaceBytes,    \
            CUstream_st* stream))

/** The library's functions, and where they come from. */
struct Functions {
#define FUNCTION(name, Result, parameters) Result(*name) parameters = nullptr;
  LT_FUNCTIONS(FUNCTION)
#undef FUNCTION
  std::string path;

  /** Opens the library; false if there is none that has all functions. */
  bool open() {
    const char* const root = std::getenv("CUBLAS_ROOT");
    const std::string places[] = {root ? std::string(root) + "/lib/" : "",
                                  root ? std::string(root) + "/lib64/" : "", "",
                                  "/usr/local/cuda/lib64/"};
    for (const std::string& place : places)
      for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"})
        if (openAt(place + name)) return true;
    return false;
  }

  std::string version() const {
    const size_t number = GetVersion(); // 130102 is 13.1.2
    char text[32];
    std::snprintf(text, sizeof text, "%zu.%zu.%zu", number / 10000, number / 100 % 100,
                  number % 100);
    return text;
  }

 private:
  bool openAt(const std::string& where) {
    void* const library = dlopen(where.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    bool isWhole = true;
#define FUNCTION(name, Result, parameters)                                          \
  name = reinterpret_cast<Result(*) parameters>(dlsym(library, "cublasLt" #name)); \
  isWhole = isWhole && name;
    LT_FUNCTIONS(FUNCTION)
#undef FUNCTION
    if (!isWhole) {
      dlclose(library);
      return false;
    }
    Dl_info info;
    path = dladdr(reinterpret_cast<void*>(Matmul), &info) ? info.dli_fname : where;
    return true;
  }
};

} // namespace tinybard::cuda::lt
