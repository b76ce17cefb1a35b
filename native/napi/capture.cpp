// The capture and the replay of kernel calls.

#include "capture.h"

#include "buffer.h"

namespace tinybard {

void runKernel(napi_env env, Run run, const Slot* slots) {
  pendingError.isSet = false;
  run(slots);
  if (pendingError.isSet) throw Napi::RangeError::New(env, pendingError.text);
}

void CapturedGraph::add(Napi::Env env, Run run, Arguments& arguments) {
  for (const Range& range : arguments.ranges) {
    const Extent extent = bufferExtent(env, range.owner);
    const auto isSame = [&](const Memory& known) { return known.extent.data == extent.data; };
    if (!extent.data || std::any_of(memory.begin(), memory.end(), isSame)) continue;
    std::shared_ptr<void> retained = retainBuffer(env, range.owner);
    Napi::Reference<Napi::Value> owner;
    if (!retained) owner.Reset(Napi::Value(env, range.owner), 1);
    memory.push_back({std::move(owner), extent, std::move(retained)});
  }
  list.add(run, arguments);
}

const std::vector<KernelCall>& CapturedGraph::callsToReplay(Napi::Env env) {
  if (!runner) throw Napi::Error::New(env, "replay: the graph has been released");
  for (const Memory& known : memory) {
    if (known.retained) continue;
    const Extent extent = bufferExtent(env, known.owner.Value());
    if (extent.data != known.extent.data || extent.bytes != known.extent.bytes)
      throw Napi::Error::New(env, "replay: memory of the captured graph has been detached");
  }
  return list.calls();
}

void CapturedGraph::release() {
  runner.reset(); // first: on a GPU the graph may still be running
  memory.clear();
  list = CallList();
}

} // namespace tinybard
