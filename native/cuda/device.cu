// Implements device.cuh with the CUDA runtime. All copies, kernels and graphs go through one stream
// and so run in the order of their calls.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <unordered_map>

#include "../watchdog.h"
#include "device.cuh"

namespace tinybard::cuda {

struct Graph {
  cudaGraphExec_t executable = nullptr;
  int64_t kernels = 0;
  std::vector<std::unique_ptr<char[]>> hostCopies; // the sources of its copies to the device
  bool isValid = true;                             // false after an operation that no graph can do
  ~Graph() {
    if (executable) cudaGraphExecDestroy(executable);
  }
};

namespace {

std::unique_ptr<Graph> capturing;
int64_t launched = 0;
char error[256]; // the first since the last call of lastError(); empty: none

/** Returns true if a runtime call succeeded; otherwise keeps its message for lastError(). */
bool succeeded(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return true;
  cudaGetLastError(); // resets the error; otherwise the next launch would report it
  if (!error[0]) std::snprintf(error, sizeof error, "%s: %s", what, cudaGetErrorString(result));
  return false;
}

/** Reports an operation that is impossible during a capture; returns false if there is none. */
bool failsInCapture(const char* operation) {
  if (!capturing) return false;
  capturing->isValid = false;
  kernelError("%s is not possible while a graph is captured", operation);
  return true;
}

const char* (*findErrorWhileWaiting)() = nullptr;

/** A mark in the stream after each graph, to see that the device makes progress. */
std::deque<cudaEvent_t> marks;

void addMark() {
  cudaEvent_t mark = nullptr;
  if (!succeeded(cudaEventCreateWithFlags(&mark, cudaEventDisableTiming), "an event")) return;
  succeeded(cudaEventRecord(mark, stream()), "an event");
  marks.push_back(mark);
}

/** Returns true if the device has passed a mark since the last call. */
bool hasProgress() {
  bool hasPassed = false;
  while (!marks.empty() && cudaEventQuery(marks.front()) != cudaErrorNotReady) {
    cudaEventDestroy(marks.front());
    marks.pop_front();
    hasPassed = true;
  }
  return hasPassed;
}

/** Waits for the device, whose kernels may wait for other ranks: the watchdog's limit is that of
 *  one graph. Returns false after an error. */
bool waitForRanks() {
  for (;;) {
    const watchdog::Wait wait;
    do {
      if (cudaStreamQuery(stream()) != cudaErrorNotReady) {
        hasProgress(); // frees the marks
        return true;
      }
      if (const char* problem = findErrorWhileWaiting()) {
        deviceError(problem);
        return false;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    } while (!hasProgress());
  }
}

} // namespace

cudaStream_t stream() {
  static const cudaStream_t onlyStream = [] {
    cudaStream_t created = nullptr;
    succeeded(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking), "creating the stream");
    return created;
  }();
  return onlyStream;
}

// ---- memory

void* allocate(size_t bytes) {
  if (failsInCapture("an allocation")) return nullptr;
  void* memory = nullptr;
  const cudaError_t result = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
  if (result == cudaSuccess) return memory;
  cudaGetLastError();
  if (result != cudaErrorMemoryAllocation) succeeded(result, "allocating memory");
  return nullptr;
}

void release(void* memory) {
  if (memory) succeeded(cudaFree(memory), "freeing memory");
}

void copyToDevice(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (capturing) { // every replay reads the source again, so the graph keeps it
    capturing->hostCopies.emplace_back(new char[bytes]);
    std::memcpy(capturing->hostCopies.back().get(), from, bytes);
    from = capturing->hostCopies.back().get();
  }
  succeeded(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()),
            "copying to the device");
}

void copyToHost(void* to, const void* from, size_t bytes) {
  if (failsInCapture("a copy to the host") || bytes == 0) return;
  succeeded(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()),
            "copying to the host");
  synchronize();
}

void synchronize() {
  if (failsInCapture("a synchronization")) return;
  if (findErrorWhileWaiting && !waitForRanks()) return;
  succeeded(cudaStreamSynchronize(stream()), "waiting for the device");
}

void checkWhileWaiting(const char* (*findError)()) { findErrorWhileWaiting = findError; }

void deviceError(const char* message) {
  if (!error[0]) std::snprintf(error, sizeof error, "%s", message);
}

void enqueueLibraryCall(const std::function<void(CUstream_st*)>& call) { call(stream()); }

const char* lastError() {
  static char message[sizeof error];
  succeeded(cudaGetLastError(), "the device"); // an error that no call has reported yet
  std::memcpy(message, error, sizeof error);
  error[0] = '\0';
  return message[0] ? message : nullptr;
}

// ---- the device

/** Returns the compute capability of the device in tenths: 90 for 9.0. */
static int computeCapability() {
  int device = 0;
  int major = 0;
  int minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return 10 * major + minor;
}

const char* unavailableReason() {
  static char reason[160];
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (result != cudaSuccess || count == 0) {
    const char* why = result == cudaSuccess ? "none is listed" : cudaGetErrorString(result);
    std::snprintf(reason, sizeof reason, "no NVIDIA GPU is available (%s)", why);
    return reason;
  }
  // several processes on a host take a GPU each
  const char* const number = std::getenv("TINYBARD_CUDA_DEVICE");
  if (number && *number && cudaSetDevice(std::abs(std::atoi(number)) % count) != cudaSuccess) {
    std::snprintf(reason, sizeof reason, "TINYBARD_CUDA_DEVICE is %.20s: %s", number,
                  cudaGetErrorString(cudaGetLastError()));
    return reason;
  }
  if (computeCapability() >= 75) return nullptr;
  return "the GPU is older than Turing (compute capability 7.5)";
}

bool hasBf16() {
  static const bool isAmpere = computeCapability() >= 80;
  return isAmpere;
}

size_t maxSharedBytes() {
  static const size_t bytes = [] {
    int device = 0;
    int found = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&found, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return (size_t)found;
  }();
  return bytes;
}

const char* deviceName() {
  static const cudaDeviceProp properties = [] {
    cudaDeviceProp found = {};
    int device = 0;
    succeeded(cudaGetDevice(&device), "the device");
    succeeded(cudaGetDeviceProperties(&found, device), "the device");
    return found;
  }();
  return properties.name;
}

int driverVersion() {
  int version = 0;
  succeeded(cudaDriverGetVersion(&version), "the driver");
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
  if (succeeded(cudaEventSynchronize(end), "the device")) cudaEventElapsedTime(&ms, begin, end);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return ms;
}

// ---- launches

int64_t launchCount() { return launched; }

int multiprocessors() {
  static const int count = [] {
    int device = 0;
    int found = 1;
    succeeded(cudaGetDevice(&device), "the device");
    succeeded(cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device), "the device");
    return found;
  }();
  return count;
}

void allowDynamicShared(const void* kernel, size_t bytes) {
  static auto& limits = *new std::unordered_map<const void*, size_t>;
  size_t& limit = limits[kernel];
  if (bytes <= limit) return;
  const cudaError_t result =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
  if (result == cudaSuccess) limit = bytes;
  else cudaGetLastError(); // the launch fails too, and afterLaunch() reports it
}

void afterLaunch() {
  const cudaError_t result = cudaGetLastError();
  if (result != cudaSuccess) kernelError("launch failed: %s", cudaGetErrorString(result));
  else if (!capturing) launched++;
}

// ---- graphs

void beginCapture() {
  const cudaError_t result = cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed);
  if (!succeeded(result, "capturing a graph")) return;
  capturing = std::make_unique<Graph>();
}

bool isCapturing() { return capturing != nullptr; }

Graph* endCapture() {
  std::unique_ptr<Graph> graph = std::move(capturing);
  if (!graph) return nullptr;
  const auto ok = [](cudaError_t result) { return succeeded(result, "capturing a graph"); };
  cudaGraph_t captured = nullptr;
  if (!ok(cudaStreamEndCapture(stream(), &captured)) || !captured) return nullptr;
  size_t count = 0;
  bool isValid = graph->isValid && ok(cudaGraphGetNodes(captured, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  isValid = isValid && ok(cudaGraphGetNodes(captured, nodes.data(), &count));
  for (size_t i = 0; isValid && i < count; i++) {
    cudaGraphNodeType type;
    isValid = ok(cudaGraphNodeGetType(nodes[i], &type));
    graph->kernels += type == cudaGraphNodeTypeKernel;
  }
  isValid = isValid && ok(cudaGraphInstantiate(&graph->executable, captured, 0)) &&
            ok(cudaGraphUpload(graph->executable, stream()));
  cudaGraphDestroy(captured);
  return isValid ? graph.release() : nullptr;
}

void launchGraph(Graph* graph) {
  if (failsInCapture("launching a graph")) return;
  if (!succeeded(cudaGraphLaunch(graph->executable, stream()), "launching a graph")) return;
  launched += graph->kernels;
  if (findErrorWhileWaiting) addMark();
}

void destroyGraph(Graph* graph) {
  if (!graph) return;
  if (!capturing) cudaStreamSynchronize(stream()); // it may still run and read hostCopies
  delete graph;
}

} // namespace tinybard::cuda
