// The binding: exports { cpu } or { cuda } with the kernels, which take buffers and numbers in the
// order of kernels.def, and with captured graphs. All arguments of a call are checked before its
// kernel runs, so that no call from JavaScript can corrupt the process.

#include <napi.h>

#include <memory>
#include <new>

#include "../arguments/checks.h"
#include "capture.h"
#ifdef TINYBARD_CUDA
#include "../cuda/binding.h"
#else
#include "../cpu/binding.h"
#endif

namespace tinybard {
namespace {

/** The data of one JavaScript environment: the main thread or a worker. */
struct Environment {
  std::unique_ptr<CapturedGraph> capture; // null if no capture is in progress
  Handles<CapturedGraph>& graphs = *new Handles<CapturedGraph>; // their finalizers may run last
};

Environment& environmentOf(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

/**
 * Runs the kernel of an entry, unless all its outputs are empty: so no kernel loops over many rows
 * of no elements, or divides by a size of 0 to describe an empty launch. Returns false, having done
 * nothing, if its arguments are doubles, which only the TypeScript kernels support.
 */
bool callKernel(napi_env env, const Entry& entry, const napi_value* values, size_t count) {
  const size_t index = &entry - entries;
  Arguments arguments(env, values, count);
  arguments.begin(entry.name, kernelAt(index, false));
  entry.check(arguments);
  if (const char* message = arguments.finish()) {
    napi_throw_type_error(env, nullptr, message); // no effect if a getter has thrown
    return false;
  }
  if (arguments.hasDoubles) return false;
  if (!arguments.hasOutput) return true;
  const Run run = kernelAt(index, arguments.isBf16).run;
  runKernel(env, run, arguments.slots);
  if (CapturedGraph* capture = environmentOf(env).capture.get()) capture->add(env, run, arguments);
  return true;
}

/** A kernel as JavaScript calls it. */
napi_value kernelFunction(napi_env env, napi_callback_info info) {
  size_t count = MAX_PARAMETERS;
  napi_value values[MAX_PARAMETERS];
  napi_value isSupported = nullptr;
  void* data;
  napi_get_cb_info(env, info, &count, values, nullptr, &data);
  try {
    const bool result = callKernel(env, *static_cast<const Entry*>(data), values, count);
    napi_get_boolean(env, result, &isSupported);
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (const std::bad_alloc&) {
    napi_throw_range_error(env, nullptr, "out of memory: the arguments of a kernel do not fit");
  }
  return isSupported;
}

/** beginCapture(): captures all kernel calls from now on. Discards a capture in progress, and the
 *  graphs that JavaScript has dropped. */
void beginCapture(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info.Env());
  environment.graphs.sweep(info.Env());
  environment.capture = std::make_unique<CapturedGraph>();
}

/** endCapture(): returns the captured graph, or undefined if no capture is in progress. */
Napi::Value endCapture(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info.Env());
  std::unique_ptr<CapturedGraph> graph = std::move(environment.capture);
  if (!graph) return info.Env().Undefined();
  return environment.graphs.make(info.Env(), std::move(graph));
}

/** replay(graph): runs the kernel calls of a captured graph. */
void replay(const Napi::CallbackInfo& info) {
  CapturedGraph* graph = Handles<CapturedGraph>::get(info.Env(), info[0]);
  if (!graph) throw Napi::TypeError::New(info.Env(), "replay: expected a captured graph");
  if (environmentOf(info.Env()).capture)
    throw Napi::Error::New(info.Env(), "replay: a replay cannot be captured");
  graph->replay(info.Env());
}

/** releaseGraph(graph): frees the memory that only the graph uses; without a graph, of all graphs
 *  that have been captured. */
void releaseGraph(const Napi::CallbackInfo& info) {
  const auto release = [](CapturedGraph& graph) { graph.release(); };
  if (info[0].IsUndefined()) return environmentOf(info.Env()).graphs.each(release);
  CapturedGraph* graph = Handles<CapturedGraph>::get(info.Env(), info[0]);
  if (!graph) throw Napi::TypeError::New(info.Env(), "releaseGraph: expected a captured graph");
  graph->release();
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  const Napi::Object backend = Napi::Object::New(env);
  const Napi::Object kernels = Napi::Object::New(env);
  const Napi::Object signatures = Napi::Object::New(env);
  initializeBackend(env, backend);
  env.SetInstanceData(new Environment);
  for (size_t i = 0; i < entryCount; i++) {
    void* const data = const_cast<Entry*>(&entries[i]);
    napi_value kernel = nullptr;
    napi_create_function(env, entries[i].name, NAPI_AUTO_LENGTH, kernelFunction, data, &kernel);
    kernels.Set(entries[i].name, kernel);
    signatures.Set(entries[i].name, entries[i].signature);
  }
  backend.Set("kernels", kernels);
  backend.Set("signatures", signatures);
  backend.Set("interfaceVersion", 5); // of the functions here and in initializeBackend()
  backend.Set("beginCapture", Napi::Function::New<beginCapture>(env, "beginCapture"));
  backend.Set("endCapture", Napi::Function::New<endCapture>(env, "endCapture"));
  backend.Set("replay", Napi::Function::New<replay>(env, "replay"));
  backend.Set("releaseGraph", Napi::Function::New<releaseGraph>(env, "releaseGraph"));
  exports.Set(BACKEND, backend);
  return exports;
}

} // namespace
} // namespace tinybard

using tinybard::initialize;
NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialize)
