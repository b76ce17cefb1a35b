// The CUDA runtime's side of device.cuh: one stream, which all copies, kernels and graphs go
// through in the order in which they were asked for.

#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "device.cuh"

namespace tinybard::cuda {

struct Graph {
  cudaGraphExec_t runnable = nullptr;
  int64_t kernels = 0;
  std::vector<std::unique_ptr<char[]>> copied; // what its copies to the device read
  bool isWhole = true;                         // nothing was asked for that a graph cannot do
  ~Graph() {
    if (runnable) cudaGraphExecDestroy(runnable);
  }
};

namespace {

std::unique_ptr<Graph> capturing;
int64_t launched = 0;
char error[256]; // the first since the last question; empty: none

/** Whether the runtime did as it was asked; if not, keeps its words for lastError(). */
bool isDone(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return true;
  cudaGetLastError(); // else the next launch would be taken for the culprit
  if (!error[0]) std::snprintf(error, sizeof error, "%s: %s", what, cudaGetErrorString(result));
  return false;
}

/** Says that a graph cannot do this; false if none is being captured. */
bool isRefused(const char* what) {
  if (!capturing) return false;
  capturing->isWhole = false;
  kernelError("%s while a graph is captured", what);
  return true;
}

} // namespace

cudaStream_t stream() {
  static const cudaStream_t only = [] {
    cudaStream_t made = nullptr;
    isDone(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "the stream");
    return made;
  }();
  return only;
}

// ---- memory

void* allocate(size_t bytes) {
  if (isRefused("memory was asked for")) return nullptr;
  void* memory = nullptr;
  const cudaError_t result = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
  if (result == cudaSuccess) return memory;
  cudaGetLastError();
  if (result != cudaErrorMemoryAllocation) isDone(result, "memory");
  return nullptr;
}

void release(void* memory) {
  if (memory) isDone(cudaFree(memory), "release");
}

void copyToDevice(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (capturing) { // the graph reads it each time it runs
    capturing->copied.emplace_back(new char[bytes]);
    std::memcpy(capturing->copied.back().get(), from, bytes);
    from = capturing->copied.back().get();
  }
  isDone(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "a copy");
}

void copyToHost(void* to, const void* from, size_t bytes) {
  if (isRefused("a copy to the host") || bytes == 0) return;
  isDone(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "a copy");
  synchronize();
}

void synchronize() {
  if (!isRefused("a wait")) isDone(cudaStreamSynchronize(stream()), "the device");
}

const char* lastError() {
  static char asked[sizeof error];
  isDone(cudaGetLastError(), "the device");
  std::memcpy(asked, error, sizeof error);
  error[0] = '\0';
  return asked[0] ? asked : nullptr;
}

// ---- the device

const char* unavailableReason() {
  static char reason[160];
  int count = 0, device = 0, major = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (found != cudaSuccess || count == 0) {
    const char* why = found == cudaSuccess ? "none is listed" : cudaGetErrorString(found);
    std::snprintf(reason, sizeof reason, "no NVIDIA GPU to work on (%s)", why);
    return reason;
  }
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (major >= 8) return nullptr;
  return "the GPU is older than Ampere (compute capability 8.0), whose tensor cores it takes";
}

const char* deviceName() {
  static const cudaDeviceProp properties = [] {
    cudaDeviceProp found = {};
    int device = 0;
    isDone(cudaGetDevice(&device), "the device");
    isDone(cudaGetDeviceProperties(&found, device), "the device");
    return found;
  }();
  return properties.name;
}

int driverVersion() {
  int version = 0;
  isDone(cudaDriverGetVersion(&version), "the driver");
  return version;
}

float elapsedMilliseconds(const std::function<void()>& work) {
  cudaEvent_t begin, end;
  float ms = 0;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  cudaEventRecord(begin, stream());
  work();
  cudaEventRecord(end, stream());
  if (isDone(cudaEventSynchronize(end), "the device")) cudaEventElapsedTime(&ms, begin, end);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return ms;
}

// ---- launches

int64_t launchCount() { return launched; }

int multiprocessors() {
  static const int count = [] {
    int device = 0, found = 1;
    isDone(cudaGetDevice(&device), "the device");
    isDone(cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device), "the device");
    return found;
  }();
  return count;
}

void allowShared(const void* kernel, size_t bytes) {
  static auto& allowed = *new std::unordered_map<const void*, size_t>;
  size_t& most = allowed[kernel];
  if (bytes <= most) return;
  const cudaError_t result =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
  if (result == cudaSuccess) most = bytes;
  else cudaGetLastError(); // the launch fails, and afterLaunch() says it
}

void afterLaunch() {
  const cudaError_t result = cudaGetLastError();
  if (result != cudaSuccess) kernelError("the device cannot launch it: %s",
                                         cudaGetErrorString(result));
  else if (!capturing) launched++;
}

// ---- graphs

void beginCapture() {
  if (!isDone(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "a graph")) return;
  capturing = std::make_unique<Graph>();
}

bool isCapturing() { return capturing != nullptr; }

Graph* endCapture() {
  std::unique_ptr<Graph> made = std::move(capturing);
  if (!made) return nullptr;
  cudaGraph_t noted = nullptr;
  size_t count = 0;
  if (!isDone(cudaStreamEndCapture(stream(), &noted), "a graph") || !noted) return nullptr;
  bool isWell = made->isWhole && isDone(cudaGraphGetNodes(noted, nullptr, &count), "a graph");
  std::vector<cudaGraphNode_t> nodes(count);
  isWell = isWell && isDone(cudaGraphGetNodes(noted, nodes.data(), &count), "a graph");
  for (size_t i = 0; isWell && i < count; i++) {
    cudaGraphNodeType type;
    isWell = isDone(cudaGraphNodeGetType(nodes[i], &type), "a graph");
    made->kernels += type == cudaGraphNodeTypeKernel;
  }
  isWell = isWell && isDone(cudaGraphInstantiate(&made->runnable, noted, 0), "a graph") &&
           isDone(cudaGraphUpload(made->runnable, stream()), "a graph");
  cudaGraphDestroy(noted);
  return isWell ? made.release() : nullptr;
}

void launchGraph(Graph* graph) {
  if (isRefused("the run of a graph")) return;
  if (isDone(cudaGraphLaunch(graph->runnable, stream()), "a graph")) launched += graph->kernels;
}

void destroyGraph(Graph* graph) {
  if (!graph) return;
  if (!capturing) cudaStreamSynchronize(stream()); // it may still run, and read what it copies
  delete graph;
}

} // namespace tinybard::cuda
