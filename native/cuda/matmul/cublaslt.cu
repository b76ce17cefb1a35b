// The choice between cuBLASLt and our own kernels, and the translation of a Gemm for the library.

#include "cublaslt.h"

#include "cublaslt_library.h"

namespace tinybard::cuda {
namespace {

// The library is faster than our own kernels from this number of multiply-adds on.
constexpr int64_t MIN_MULTIPLY_ADDS = 1 << 22;

enum class Preference { fastest, own, cublasLt, invalid };

/** Returns the setting of TINYBARD_MATMUL. */
Preference preference() {
  static const Preference value = [] {
    const char* const variable = std::getenv("TINYBARD_MATMUL");
    const std::string text = variable ? variable : "";
    if (text == "") return Preference::fastest;
    if (text == "own") return Preference::own;
    if (text == "cublas") return Preference::cublasLt;
    return Preference::invalid;
  }();
  return value;
}

/** The library, opened on first use. It is never freed: captured graphs use its workspace. */
lt::Library& library() {
  static lt::Library& instance = *new lt::Library;
  return instance;
}

/** Returns true if cuBLASLt is not disabled, and was found. */
bool canUseLibrary() { return preference() != Preference::own && library().isOpen; }

/** Returns the library's epilogue flags for a Gemm, or 0 if it has no such epilogue. */
template <class F, class C>
uint32_t getEpilogue(const Gemm<F, C>& p) {
  constexpr bool isMixed = sizeof(F) != sizeof(C);
  const bool writesH = p.h && p.activation != Activation::none;
  const uint32_t bias = p.bias ? lt::BIAS : 0;
  if (p.rowSums) {
    const bool isOnlyEpilogue = !p.bias && p.activation == Activation::none;
    return sizeof(C) == 4 && isOnlyEpilogue ? lt::BGRADB : 0;
  }
  if (p.preActivation)
    return p.activation == Activation::geluTanh && !isMixed ? lt::DGELU | lt::AUX : 0;
  if (bias && (isMixed || p.accumulate)) return 0;
  switch (p.activation) {
    case Activation::none: return bias ? bias : lt::DEFAULT;
    case Activation::relu: return isMixed || writesH || p.accumulate ? 0 : lt::RELU | bias;
    case Activation::geluTanh:
      return isMixed || p.accumulate ? 0 : lt::GELU | bias | (writesH ? lt::AUX : 0);
    default: return 0; // it has no relu2, and its GELU is the tanh approximation
  }
}

} // namespace

const char* cublasLtStatus() {
  if (preference() == Preference::own) return "own kernels (TINYBARD_MATMUL=own)";
  if (preference() == Preference::invalid) return "TINYBARD_MATMUL must be own or cublas";
  static const std::string status = (library().isOpen ? "" : "own kernels: ") + library().status;
  return status.c_str();
}

void tuneCublasLt() {
  if (canUseLibrary()) library().tune();
}

std::string cublasLtTable() { return canUseLibrary() ? library().getTable() : ""; }

void setCublasLtTable(const char* text) {
  if (canUseLibrary()) library().setTable(text);
}

template <class F, class C>
bool gemmCublasLt(const Gemm<F, C>& p) {
  if (preference() == Preference::own) return false;
  if (preference() == Preference::invalid)
    kernelError("matmul: %s", cublasLtStatus());
  else if (preference() == Preference::cublasLt && !library().isOpen)
    kernelError("matmul: TINYBARD_MATMUL=cublas: %s", library().status.c_str());
  if (!library().isOpen || pendingError.isSet || p.M * p.N * p.K == 0) return false;

  const uint32_t epilogue = getEpilogue(p);
  const int64_t extents = p.lda | p.ldb | p.ldc | p.strideA | p.strideB | p.strideC;
  const bool isAligned =
      canVectorize<F>(extents, p.a, p.b, p.c, p.bias, p.h, p.preActivation, p.rowSums);
  if (epilogue == 0 || (!isAligned && epilogue != lt::DEFAULT)) return false;
  if ((epilogue & lt::AUX) && p.ldc % 8 != 0) return false;
  const bool isLarge =
      p.batch * p.M * p.N * p.K >= MIN_MULTIPLY_ADDS && p.M > 16 && p.N > 16 && p.K > 16;
  if (preference() == Preference::fastest && !(isAligned && isLarge)) return false;

  const bool isBatched = p.batch != 1;
  lt::Key key;
  key[lt::INPUT_BYTES] = sizeof(F);
  key[lt::OUTPUT_BYTES] = sizeof(C);
  key[lt::SIZE_M] = p.M;
  key[lt::SIZE_N] = p.N;
  key[lt::SIZE_K] = p.K;
  key[lt::LDA] = p.lda;
  key[lt::LDB] = p.ldb;
  key[lt::LDC] = p.ldc;
  key[lt::TRANS_A] = p.transA;
  key[lt::TRANS_B] = p.transB;
  key[lt::BATCH] = p.batch;
  key[lt::STRIDE_A] = isBatched ? p.strideA : 0;
  key[lt::STRIDE_B] = isBatched ? p.strideB : 0;
  key[lt::STRIDE_C] = isBatched ? p.strideC : 0;
  key[lt::EPILOGUE] = epilogue;
  key[lt::COMPUTE_TYPE] =
      sizeof(F) == 4 && usesTf32() ? lt::COMPUTE_32F_FAST_TF32 : lt::COMPUTE_32F;
  key[lt::ALIGNMENT] = isAligned ? 16 : sizeof(F);

  lt::Arguments arguments;
  arguments.a = p.a;
  arguments.b = p.b;
  arguments.bias = p.rowSums ? static_cast<const void*>(p.rowSums) : p.bias;
  arguments.c = p.c;
  arguments.aux = p.preActivation ? const_cast<F*>(p.preActivation) : p.h;
  arguments.beta = p.accumulate ? 1.0f : 0.0f;
  return library().run(key, arguments);
}

template bool gemmCublasLt(const Gemm<f32, f32>&);
template bool gemmCublasLt(const Gemm<bf16, bf16>&);
template bool gemmCublasLt(const Gemm<bf16, f32>&);

} // namespace tinybard::cuda
