// cuBLASLt as a class: the descriptors of each product, the choice of its algorithm, tuning, and
// the table of tuned algorithms. The library is column-major: our row-major c [M, N] is its
// column-major c^T [N, M], and c^T = op(b)^T op(a)^T. So our b is its first operand, our a its
// second.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <sstream>

#include "../device.cuh"
#include "cublaslt_api.h"

namespace tinybard::cuda::lt {

/** The properties of a product that select an algorithm. Saved tables have them in this order. */
enum Property {
  INPUT_BYTES, // of an element
  OUTPUT_BYTES,
  SIZE_M,
  SIZE_N,
  SIZE_K,
  LDA,
  LDB,
  LDC,
  TRANS_A,
  TRANS_B,
  BATCH,
  STRIDE_A,
  STRIDE_B,
  STRIDE_C,
  EPILOGUE,
  COMPUTE_TYPE,
  ALIGNMENT, // of all pointers and rows, in bytes
  PROPERTY_COUNT
};
using Key = std::array<int64_t, PROPERTY_COUNT>;

/** The arguments that differ between two calls with the same key. */
struct Arguments {
  const void *a, *b;
  const void* bias; // or its gradient, which the library writes
  void* c;
  void* aux; // laid out as c: receives the pre-activation, or is read for its derivative
  float beta;
};

#ifdef TINYBARD_EMULATOR

/** cuBLASLt does not run in the emulator. */
struct Library {
  const std::string status = "cuBLASLt is not available in the emulator";
  static constexpr bool isOpen = false;

  bool run(const Key&, const Arguments&) { return false; }
  void tune() {}
  std::string getTable() { return ""; }
  void setTable(const char*) {}
};

#else

constexpr size_t WORKSPACE_BYTES = 32 << 20;
constexpr int MAX_CANDIDATES = 16; // algorithms that tuning times for a product

/** The library's descriptors of a product, and the algorithm in use. */
struct Plan {
  void* operation = nullptr;
  void* layoutA = nullptr;
  void* layoutB = nullptr;
  void* layoutC = nullptr;
  Algorithm algorithm{};
  bool isUsable = false;
};

class Library {
 public:
  std::string status; // the version and path, or the reason why it cannot be used
  bool isOpen = false;

  Library() {
    if (!functions.open()) {
      status = "libcublasLt.so was not found; set CUBLAS_ROOT to the folder that has it in lib/";
      return;
    }
    name = "cuBLASLt " + functions.version();
    if (functions.Create(&handle) != 0) {
      status = name + " (" + functions.path + ") failed to initialize";
      return;
    }
    workspace = allocate(WORKSPACE_BYTES);
    if (!workspace) {
      status = "out of memory for the workspace of " + name;
      return;
    }
    status = name + " (" + functions.path + ")";
    isOpen = true;
  }

  /** Launches the product; returns false if the library has no algorithm for it. */
  bool run(const Key& key, const Arguments& arguments) {
    auto& plan = plans[key];
    if (!plan) plan = std::make_unique<Plan>(makePlan(key, arguments));
    return plan->isUsable && launch(*plan, key, arguments);
  }

  void tune() {
    for (auto& [key, plan] : plans) {
      if (plan->isUsable) tune(key, *plan);
    }
  }

  /** Returns a line that identifies the device and library, and a line of numbers per product. */
  std::string getTable() const {
    std::ostringstream text;
    text << tableHeader() << '\n';
    for (const auto& [key, plan] : plans) {
      if (!plan->isUsable) continue;
      for (const int64_t property : key) text << property << ' ';
      for (const uint64_t word : plan->algorithm.data) text << word << ' ';
      text << '\n';
    }
    return text.str();
  }

  void setTable(const char* table) {
    std::istringstream text(table);
    std::string line;
    if (!std::getline(text, line) || line != tableHeader()) return;
    while (std::getline(text, line)) {
      std::istringstream numbers(line);
      Key key;
      Algorithm algorithm;
      for (int64_t& property : key) numbers >> property;
      for (uint64_t& word : algorithm.data) numbers >> word;
      if (numbers) tunedAlgorithms[key] = algorithm;
    }
  }

 private:
  std::string tableHeader() const {
    return name + ", " + deviceName() + ", driver " + std::to_string(driverVersion());
  }

  template <class T>
  void setAttribute(void* operation, int attribute, T value) {
    functions.MatmulDescSetAttribute(operation, attribute, &value, sizeof value);
  }

  template <class T>
  void setPreference(int attribute, T value) {
    functions.MatmulPreferenceSetAttribute(heuristicPreference, attribute, &value, sizeof value);
  }

  /** Describes a batch of row-major [rows, columns] matrices, which are column-major transposed. */
  void* makeLayout(const Key& key, Property bytes, int64_t rows, int64_t columns, Property ld,
                   Property stride) {
    void* layout = nullptr;
    functions.MatrixLayoutCreate(&layout, key[bytes] == 2 ? R_16BF : R_32F,
                                 (uint64_t)columns, (uint64_t)rows, key[ld]);
    const int32_t count = (int32_t)key[BATCH];
    const int64_t offset = key[stride];
    functions.MatrixLayoutSetAttribute(layout, LAYOUT_BATCH_COUNT, &count, sizeof count);
    functions.MatrixLayoutSetAttribute(layout, LAYOUT_STRIDED_BATCH_OFFSET, &offset,
                                       sizeof offset);
    return layout;
  }

  void setPointers(const Plan& plan, const Key& key, const Arguments& arguments) {
    if (arguments.bias) setAttribute(plan.operation, DESC_BIAS_POINTER, arguments.bias);
    if (key[EPILOGUE] & AUX)
      setAttribute(plan.operation, DESC_AUX_POINTER, arguments.aux);
  }

  /** Describes the product and selects its algorithm: the tuned one, or the heuristic's first. */
  Plan makePlan(const Key& key, const Arguments& arguments) {
    Plan plan;
    functions.MatmulDescCreate(&plan.operation, (int)key[COMPUTE_TYPE], R_32F);
    setAttribute(plan.operation, DESC_TRANSA, (int32_t)(key[TRANS_B] ? OP_T : OP_N));
    setAttribute(plan.operation, DESC_TRANSB, (int32_t)(key[TRANS_A] ? OP_T : OP_N));
    setAttribute(plan.operation, DESC_EPILOGUE, (uint32_t)key[EPILOGUE]);
    if (key[EPILOGUE] & AUX) {
      setAttribute(plan.operation, DESC_AUX_LD, key[LDC]);
      setAttribute(plan.operation, DESC_AUX_BATCH_STRIDE, key[STRIDE_C]);
    }
    setPointers(plan, key, arguments); // the heuristic reads their alignment
    plan.layoutA = makeLayout(key, INPUT_BYTES, key[TRANS_A] ? key[SIZE_K] : key[SIZE_M],
                              key[TRANS_A] ? key[SIZE_M] : key[SIZE_K], LDA, STRIDE_A);
    plan.layoutB = makeLayout(key, INPUT_BYTES, key[TRANS_B] ? key[SIZE_N] : key[SIZE_K],
                              key[TRANS_B] ? key[SIZE_K] : key[SIZE_N], LDB, STRIDE_B);
    plan.layoutC = makeLayout(key, OUTPUT_BYTES, key[SIZE_M], key[SIZE_N], LDC, STRIDE_C);
    const auto tuned = tunedAlgorithms.find(key);
    HeuristicResult result;
    if (tuned != tunedAlgorithms.end() && isSupported(plan, tuned->second)) {
      plan.algorithm = tuned->second;
      plan.isUsable = true;
    } else if (findAlgorithms(plan, key, &result, 1) == 1) {
      plan.algorithm = result.algorithm;
      plan.isUsable = true;
    }
    return plan;
  }

  bool isSupported(const Plan& plan, const Algorithm& algorithm) {
    HeuristicResult result;
    const int failure =
        functions.MatmulAlgoCheck(handle, plan.operation, plan.layoutB, plan.layoutA, plan.layoutC,
                                  plan.layoutC, &algorithm, &result);
    return !failure && result.workspaceBytes <= WORKSPACE_BYTES;
  }

  /** Finds up to `count` algorithms, the estimated fastest first, and returns how many. */
  int findAlgorithms(const Plan& plan, const Key& key, HeuristicResult* results, int count) {
    if (!heuristicPreference) {
      functions.MatmulPreferenceCreate(&heuristicPreference);
      setPreference(PREF_MAX_WORKSPACE_BYTES, (uint64_t)WORKSPACE_BYTES);
      // Split-K may keep partial sums in the workspace in f32 and add them in a fixed order. The
      // other schemes add to c in the order of arrival, or round partial sums to the type of c.
      setPreference(PREF_REDUCTION_SCHEME_MASK, REDUCTION_SCHEME_COMPUTE_TYPE);
    }
    for (int matrix = 0; matrix < 4; matrix++) // a, b, c, d
      setPreference(PREF_MIN_ALIGNMENT_A_BYTES + matrix, (uint32_t)key[ALIGNMENT]);
    int found = 0;
    const int failure = functions.MatmulAlgoGetHeuristic(
        handle, plan.operation, plan.layoutB, plan.layoutA, plan.layoutC, plan.layoutC,
        heuristicPreference, count, results, &found);
    if (failure) return 0;
    const auto isBad = [](const HeuristicResult& result) { return result.status != 0; };
    return (int)(std::remove_if(results, results + found, isBad) - results);
  }

  /** Launches the product. If the library rejects it, the plan is not used again. */
  bool launch(Plan& plan, const Key& key, const Arguments& arguments) {
    constexpr float alpha = 1;
    setPointers(plan, key, arguments);
    const int failure = functions.Matmul(handle,
                                         plan.operation,
                                         &alpha,
                                         arguments.b,
                                         plan.layoutB,
                                         arguments.a,
                                         plan.layoutA,
                                         &arguments.beta,
                                         arguments.c,
                                         plan.layoutC,
                                         arguments.c,
                                         plan.layoutC,
                                         &plan.algorithm,
                                         workspace,
                                         WORKSPACE_BYTES,
                                         stream());
    plan.isUsable = !failure;
    if (plan.isUsable) afterLaunch();
    return plan.isUsable;
  }

  /** Times the candidate algorithms on uninitialized buffers and keeps the fastest. */
  void tune(const Key& key, Plan& plan) {
    constexpr int RUNS = 10;
    HeuristicResult candidates[MAX_CANDIDATES];
    const int count = findAlgorithms(plan, key, candidates, MAX_CANDIDATES);
    const auto allocateMatrix = [&](int64_t rows, Property ld, Property stride, Property bytes) {
      return allocate((size_t)(((key[BATCH] - 1) * key[stride] + rows * key[ld]) * key[bytes]));
    };
    void* const a =
        allocateMatrix(key[TRANS_A] ? key[SIZE_K] : key[SIZE_M], LDA, STRIDE_A, INPUT_BYTES);
    void* const b =
        allocateMatrix(key[TRANS_B] ? key[SIZE_N] : key[SIZE_K], LDB, STRIDE_B, INPUT_BYTES);
    void* const c = allocateMatrix(key[SIZE_M], LDC, STRIDE_C, OUTPUT_BYTES);
    void* const aux = allocateMatrix(key[SIZE_M], LDC, STRIDE_C, INPUT_BYTES);
    void* const bias = allocate((size_t)(key[SIZE_M] + key[SIZE_N]) * sizeof(float));
    const bool hasBias = key[EPILOGUE] & (BIAS | BGRADB);
    const Arguments arguments{a, b, hasBias ? bias : nullptr, c, aux, 0};
    float bestTime = 0;
    Algorithm best = plan.algorithm;
    for (int i = 0; a && b && c && aux && bias && i < count; i++) {
      Plan candidate = plan;
      candidate.algorithm = candidates[i].algorithm;
      if (!launch(candidate, key, arguments)) continue; // this run is the warm-up
      const float time = elapsedMilliseconds([&] {
        for (int run = 0; run < RUNS; run++) launch(candidate, key, arguments);
      });
      if (!candidate.isUsable || (bestTime > 0 && time >= bestTime)) continue;
      bestTime = time;
      best = candidate.algorithm;
    }
    plan.algorithm = best;
    for (void* buffer : {a, b, c, aux, bias}) release(buffer);
  }

  Functions functions;
  std::string name;
  void* handle = nullptr;
  void* heuristicPreference = nullptr;
  void* workspace = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans;
  std::map<Key, Algorithm> tunedAlgorithms;
};

#endif

} // namespace tinybard::cuda::lt
