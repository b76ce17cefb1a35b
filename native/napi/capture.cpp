// The capture and the replay of kernel calls.

#include "capture.h"

namespace tinybard {

void runKernel(napi_env env, Run run, const Slot* slots) {
  pendingError.isSet = false;
  run(slots);
  if (pendingError.isSet) throw Napi::RangeError::New(env, pendingError.message);
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
  // the slots of lists stay valid: a moved vector keeps its memory
  for (auto& list : arguments.pointers) pointers.push_back(std::move(list));
  for (auto& list : arguments.lengths) lengths.push_back(std::move(list));
  calls.push_back({run, {arguments.slots, arguments.slots + MAX_PARAMETERS}});
}

void CapturedGraph::replay(Napi::Env env) {
  if (!runner) throw Napi::Error::New(env, "replay: the graph has been released");
  for (const Memory& known : memory) {
    if (known.retained) continue;
    const Extent extent = bufferExtent(env, known.owner.Value());
    if (extent.data != known.extent.data || extent.bytes != known.extent.bytes)
      throw Napi::Error::New(env, "replay: memory of the captured graph has been detached");
  }
  runner->run(env, calls);
}

void CapturedGraph::release() {
  runner.reset(); // first: on a GPU the graph may still be running
  memory.clear();
  calls.clear();
  pointers.clear();
  lengths.clear();
}

} // namespace tinybard
