// Products by cuBLASLt. It counts by columns: what lies by rows as c [M, N], lies for it as c^T
// [N, M] by columns, and c^T = op(b)^T op(a)^T. So its first operand is our b, its second our a.

#include "cublaslt.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <sstream>

#include "cublaslt_api.h"

namespace tinybard::cuda {
namespace {

constexpr int64_t LARGE = 1 << 22; // multiply-adds from which on the library is the faster one

enum class Choice { best, own, library, unknown };

Choice choice() {
  static const Choice made = [] {
    const char* const text = std::getenv("TINYBARD_MATMUL");
    const std::string wanted = text ? text : "";
    return wanted == "" ? Choice::best
           : wanted == "own" ? Choice::own
           : wanted == "cublas" ? Choice::library
                                : Choice::unknown;
  }();
  return made;
}

/** All that an algorithm depends on. */
enum Trait {
  BYTES_OF_F, BYTES_OF_C, ROWS, COLUMNS, DEPTH, LDA, LDB, LDC, TRANS_A, TRANS_B, BATCH, A_STEP,
  B_STEP, C_STEP, EPILOGUE, COMPUTE, ALIGNMENT, TRAITS
};
using Shape = std::array<int64_t, TRAITS>;

/** What changes from call to call. */
struct Data {
  const void *a, *b, *bias;
  void *c, *beside; // what is kept, or read, as c is stored: h, or what f' is written in
  float beta;
};

#ifdef TINYBARD_EMULATOR

/** The emulator has no such library. */
struct Library {
  const std::string status = "there is no cuBLASLt on the emulator";
  static constexpr bool isOpen = false;

  bool run(const Shape&, const Data&) { return false; }
  void tune() {}
  std::string table() { return ""; }
  void setTable(const char*) {}
};

#else

constexpr size_t WORKSPACE = 32 << 20;
constexpr int PROPOSALS = 16; // that are timed

/** Descriptions of a product for the library, and the algorithm for it. */
struct Plan {
  void *operation = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
  lt::Algorithm algorithm{};
  bool isUsable = false;
};

class Library {
 public:
  std::string status; // what was found, or why it cannot be used
  bool isOpen = false;

  Library() {
    if (!functions.open()) {
      status = "no libcublasLt.so was found; CUBLAS_ROOT may name the folder that has it in lib/";
      return;
    }
    name = "cuBLASLt " + functions.version();
    if (functions.Create(&handle) != 0) {
      status = name + " (" + functions.path + ") does not start";
      return;
    }
    workspace = allocate(WORKSPACE);
    if (!workspace) {
      status = "there is no memory for " + name;
      return;
    }
    status = name + " (" + functions.path + ")";
    isOpen = true;
  }

  /** Whether the library has an algorithm for it, and has launched it. */
  bool run(const Shape& shape, const Data& data) {
    auto& plan = plans[shape];
    if (!plan) plan = std::make_unique<Plan>(make(shape, data));
    return plan->isUsable && launch(*plan, shape, data);
  }

  void tune() {
    for (auto& [shape, plan] : plans)
      if (plan->isUsable) tune(shape, *plan);
  }

  std::string table() const {
    std::ostringstream text;
    text << title() << '\n';
    for (const auto& [shape, plan] : plans) {
      if (!plan->isUsable) continue;
      for (const int64_t trait : shape) text << trait << ' ';
      for (const uint64_t word : plan->algorithm.data) text << word << ' ';
      text << '\n';
    }
    return text.str();
  }

  void setTable(const char* table) {
    std::istringstream text(table);
    std::string line;
    if (!std::getline(text, line) || line != title()) return;
    while (std::getline(text, line)) {
      std::istringstream numbers(line);
      Shape shape;
      lt::Algorithm algorithm;
      for (int64_t& trait : shape) numbers >> trait;
      for (uint64_t& word : algorithm.data) numbers >> word;
      if (numbers) given[shape] = algorithm;
    }
  }

 private:
  /** For whom a table of algorithms holds. */
  std::string title() const {
    return name + ", " + deviceName() + ", driver " + std::to_string(driverVersion());
  }

  template <class T>
  void set(void* operation, int attribute, T x) {
    functions.MatmulDescSetAttribute(operation, attribute, &x, sizeof x);
  }

  void* layout(int64_t bytes, int64_t rows, int64_t columns, int64_t ld, int64_t batch,
               int64_t step) {
    void* made = nullptr;
    functions.MatrixLayoutCreate(&made, bytes == 2 ? lt::R_16BF : lt::R_32F, (uint64_t)rows,
                                 (uint64_t)columns, ld);
    const int32_t count = (int32_t)batch;
    functions.MatrixLayoutSetAttribute(made, lt::LAYOUT_BATCH_COUNT, &count, sizeof count);
    functions.MatrixLayoutSetAttribute(made, lt::LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step);
    return made;
  }

  void setPointers(const Plan& plan, const Shape& shape, const Data& data) {
    if (data.bias) set(plan.operation, lt::DESC_BIAS_POINTER, data.bias);
    if (shape[EPILOGUE] & lt::AUX) set(plan.operation, lt::DESC_AUX_POINTER, data.beside);
  }

  Plan make(const Shape& s, const Data& data) {
    Plan plan;
    functions.MatmulDescCreate(&plan.operation, (int)s[COMPUTE], lt::R_32F);
    set(plan.operation, lt::DESC_TRANSA, (int32_t)(s[TRANS_B] ? lt::OP_T : lt::OP_N));
    set(plan.operation, lt::DESC_TRANSB, (int32_t)(s[TRANS_A] ? lt::OP_T : lt::OP_N));
    set(plan.operation, lt::DESC_EPILOGUE, (uint32_t)s[EPILOGUE]);
    if (s[EPILOGUE] & lt::AUX) {
      set(plan.operation, lt::DESC_AUX_LD, s[LDC]);
      set(plan.operation, lt::DESC_AUX_BATCH_STRIDE, s[C_STEP]);
    }
    setPointers(plan, s, data); // the heuristic looks how they are aligned
    plan.b = layout(s[BYTES_OF_F], s[TRANS_B] ? s[DEPTH] : s[COLUMNS],
                    s[TRANS_B] ? s[COLUMNS] : s[DEPTH], s[LDB], s[BATCH], s[B_STEP]);
    plan.a = layout(s[BYTES_OF_F], s[TRANS_A] ? s[ROWS] : s[DEPTH],
                    s[TRANS_A] ? s[DEPTH] : s[ROWS], s[LDA], s[BATCH], s[A_STEP]);
    plan.c = layout(s[BYTES_OF_C], s[COLUMNS], s[ROWS], s[LDC], s[BATCH], s[C_STEP]);
    const auto found = given.find(s);
    lt::Proposal proposal;
    if (found != given.end() &&
        functions.MatmulAlgoCheck(handle, plan.operation, plan.b, plan.a, plan.c, plan.c,
                                  &found->second, &proposal) == 0 &&
        proposal.workspace <= WORKSPACE) {
      plan.algorithm = found->second;
      plan.isUsable = true;
    } else if (propose(plan, s, &proposal, 1) == 1) {
      plan.algorithm = proposal.algorithm;
      plan.isUsable = true;
    }
    return plan;
  }

  /** The library's proposals, the one it thinks best first; how many there are. */
  int propose(const Plan& plan, const Shape& shape, lt::Proposal* proposals, int wanted) {
    const auto prefer = [this](int attribute, auto x) {
      functions.MatmulPreferenceSetAttribute(preference, attribute, &x, sizeof x);
    };
    if (!preference) {
      functions.MatmulPreferenceCreate(&preference);
      prefer(lt::PREF_MAX_WORKSPACE_BYTES, (uint64_t)WORKSPACE);
      // parts of sums may lie in the workspace as f32, to be added in a fixed order; neither may
      // they be added to c as they come, nor be rounded to its type
      prefer(lt::PREF_REDUCTION_SCHEME_MASK, lt::REDUCTION_SCHEME_COMPUTE_TYPE);
    }
    for (int matrix = 0; matrix < 4; matrix++)
      prefer(lt::PREF_MIN_ALIGNMENT_A_BYTES + matrix, (uint32_t)shape[ALIGNMENT]);
    int count = 0;
    const int failure = functions.MatmulAlgoGetHeuristic(handle, plan.operation, plan.b, plan.a,
                                                         plan.c, plan.c, preference, wanted,
                                                         proposals, &count);
    if (failure) return 0;
    const auto isBad = [](const lt::Proposal& proposal) { return proposal.status != 0; };
    return (int)(std::remove_if(proposals, proposals + count, isBad) - proposals);
  }

  /** Launches it; if the library will not, never tries again. */
  bool launch(Plan& plan, const Shape& shape, const Data& data) {
    constexpr float one = 1;
    setPointers(plan, shape, data);
    plan.isUsable = functions.Matmul(handle, plan.operation, &one, data.b, plan.b, data.a, plan.a,
                                     &data.beta, data.c, plan.c, data.c, plan.c, &plan.algorithm,
                                     workspace, WORKSPACE, stream()) == 0;
    if (plan.isUsable) afterLaunch();
    return plan.isUsable;
  }

  /** Keeps the fastest of the proposals for it; the matrices hold whatever the memory has. */
  void tune(const Shape& s, Plan& plan) {
    lt::Proposal proposals[PROPOSALS];
    const int count = propose(plan, s, proposals, PROPOSALS);
    const auto room = [&](int64_t rows, int64_t ld, int64_t step, int64_t bytes) {
      return (size_t)(((s[BATCH] - 1) * step + rows * ld) * bytes);
    };
    const size_t bytes[] = {
        room(s[TRANS_A] ? s[DEPTH] : s[ROWS], s[LDA], s[A_STEP], s[BYTES_OF_F]),
        room(s[TRANS_B] ? s[COLUMNS] : s[DEPTH], s[LDB], s[B_STEP], s[BYTES_OF_F]),
        room(s[ROWS], s[LDC], s[C_STEP], s[BYTES_OF_C]),
        room(s[ROWS], s[LDC], s[C_STEP], s[BYTES_OF_F]),
        (size_t)(s[ROWS] + s[COLUMNS]) * sizeof(float)}; // a, b, c, h, and the bias or its gradient
    void* memory[5];
    bool isThere = true;
    for (int i = 0; i < 5; i++) isThere = (memory[i] = allocate(bytes[i])) && isThere;
    const bool takesBias = s[EPILOGUE] & (lt::BIAS | lt::BGRADB);
    const Data data{memory[0], memory[1], takesBias ? memory[4] : nullptr, memory[2], memory[3], 0};
    float least = 0;
    lt::Algorithm best = plan.algorithm;
    for (int i = 0; isThere && i < count; i++) {
      Plan candidate = plan;
      candidate.algorithm = proposals[i].algorithm;
      if (!launch(candidate, s, data)) continue; // and it has been warmed up
      const float time = elapsedMilliseconds([&] {
        for (int j = 0; j < 10; j++) launch(candidate, s, data);
      });
      if (!candidate.isUsable || (least > 0 && time >= least)) continue;
      least = time;
      best = candidate.algorithm;
    }
    plan.algorithm = best;
    for (void* piece : memory) release(piece);
  }

  lt::Functions functions;
  std::string name;
  void *handle = nullptr, *preference = nullptr, *workspace = nullptr;
  std::map<Shape, std::unique_ptr<Plan>> plans;
  std::map<Shape, lt::Algorithm> given;
};

#endif

/** It stays as long as the process: graphs hold its workspace. */
Library& library() {
  static Library& only = *new Library;
  return only;
}

/** The library's name for what follows the product; 0 if it has none. */
template <class F, class C>
uint32_t epilogueOf(const Gemm<F, C>& p) {
  constexpr bool isMixed = sizeof(F) != sizeof(C);
  const bool keepsH = p.h && p.activation != Activation::none;
  const uint32_t bias = p.bias ? lt::BIAS : 0;
  if (p.rowSums) {
    const bool isPlain = !p.bias && p.activation == Activation::none;
    return sizeof(C) == 4 && isPlain ? lt::BGRADB : 0;
  }
  if (p.preActivation)
    return p.activation == Activation::geluTanh && !isMixed ? lt::DGELU | lt::AUX : 0;
  if (bias && (isMixed || p.accumulate)) return 0;
  switch (p.activation) {
    case Activation::none: return bias ? bias : lt::DEFAULT;
    case Activation::relu: return isMixed || keepsH || p.accumulate ? 0 : lt::RELU | bias;
    case Activation::geluTanh:
      return isMixed || p.accumulate ? 0 : lt::GELU | bias | (keepsH ? lt::AUX : 0);
    default: return 0; // by erf
  }
}

} // namespace

const char* cublasLtStatus() {
  switch (choice()) {
    case Choice::own: return "our own kernels, as TINYBARD_MATMUL says";
    case Choice::unknown: return "TINYBARD_MATMUL is neither own nor cublas";
    default: break;
  }
  static const std::string status =
      (library().isOpen ? "" : "our own kernels: ") + library().status;
  return status.c_str();
}

void tuneCublasLt() {
  if (choice() != Choice::own && library().isOpen) library().tune();
}

std::string cublasLtTable() {
  return choice() != Choice::own && library().isOpen ? library().table() : "";
}

void setCublasLtTable(const char* text) {
  if (choice() != Choice::own && library().isOpen) library().setTable(text);
}

template <class F, class C>
bool gemmCublasLt(const Gemm<F, C>& p) {
  if (choice() == Choice::own) return false;
  if (choice() == Choice::unknown) kernelError("matmul: %s", cublasLtStatus());
  else if (choice() == Choice::library && !library().isOpen)
    kernelError("matmul: TINYBARD_MATMUL=cublas: %s", library().status.c_str());
  if (!library().isOpen || pendingError.isSet || p.M * p.N * p.K == 0) return false;
  const uint32_t epilogue = epilogueOf(p);
  const bool isAligned = canVectorize<F>(p.lda | p.ldb | p.ldc | p.strideA | p.strideB | p.strideC, p.a,
                                         p.b, p.c, p.bias, p.h, p.preActivation, p.rowSums);
  if (epilogue == 0 || (!isAligned && epilogue != lt::DEFAULT)) return false;
  if ((epilogue & lt::AUX) && p.ldc % 8 != 0) return false;
  const bool isLarge = p.batch * p.M * p.N * p.K >= LARGE && p.M > 16 && p.N > 16 && p.K > 16;
  if (choice() == Choice::best && !(isAligned && isLarge)) return false;
  const bool isOne = p.batch == 1;
  const int compute =
      sizeof(F) == 4 && usesTf32() ? lt::COMPUTE_32F_FAST_TF32 : lt::COMPUTE_32F;
  const Shape shape = {(int64_t)sizeof(F), (int64_t)sizeof(C), p.M, p.N, p.K, p.lda, p.ldb, p.ldc,
                       p.transA, p.transB, p.batch, isOne ? 0 : p.strideA, isOne ? 0 : p.strideB,
                       isOne ? 0 : p.strideC, epilogue, compute,
                       isAligned ? 16 : (int64_t)sizeof(F)};
  const void* const bias = p.rowSums ? static_cast<const void*>(p.rowSums) : p.bias;
  void* const beside = p.preActivation ? const_cast<F*>(p.preActivation) : p.h;
  const Data data{p.a, p.b, bias, p.c, beside, p.accumulate ? 1.0f : 0.0f};
  return library().run(shape, data);
}

template bool gemmCublasLt(const Gemm<f32, f32>&);
template bool gemmCublasLt(const Gemm<bf16, bf16>&);
template bool gemmCublasLt(const Gemm<bf16, f32>&);

} // namespace tinybard::cuda
