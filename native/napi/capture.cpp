// The capture and the replay of kernel calls.

#include "capture.h"

namespace tinybard {

static constexpr napi_type_tag graphTag = {0x74696e7962617264, 0x7265636f7264696e};

void runKernel(napi_env env, Run run, const Slot* slots) {
  pendingError.isSet = false;
  run(slots);
  if (pendingError.isSet) throw Napi::RangeError::New(env, pendingError.message);
}

Napi::Value CapturedGraph::toValue(Napi::Env env, std::unique_ptr<CapturedGraph> graph) {
  const auto finalize = [](Napi::Env, CapturedGraph* data) { delete data; };
  const auto value = Napi::External<CapturedGraph>::New(env, graph.get(), finalize);
  graph.release();
  value.TypeTag(&graphTag);
  return value;
}

CapturedGraph* CapturedGraph::fromValue(Napi::Value value) {
  if (!value.IsExternal()) return nullptr;
  const auto external = value.As<Napi::External<CapturedGraph>>();
  return external.CheckTypeTag(&graphTag) ? external.Data() : nullptr;
}

void CapturedGraph::add(Napi::Env env, Run run, Arguments& arguments) {
  for (const Range& range : arguments.ranges) {
    const Extent extent = bufferExtent(env, range.owner);
    const auto isSame = [&](const Memory& known) { return known.extent.data == extent.data; };
    if (!extent.data || std::any_of(memory.begin(), memory.end(), isSame)) continue;
    memory.push_back({Napi::Reference<Napi::Value>::New(Napi::Value(env, range.owner), 1), extent,
                      retainBuffer(env, range.owner)});
  }
  // the slots of lists stay valid: a moved vector keeps its memory
  for (auto& list : arguments.pointers) pointers.push_back(std::move(list));
  for (auto& list : arguments.lengths) lengths.push_back(std::move(list));
  calls.push_back({run, {arguments.slots, arguments.slots + MAX_PARAMETERS}});
}

void CapturedGraph::replay(Napi::Env env) {
  for (const Memory& known : memory) {
    if (known.retained) continue;
    const Extent extent = bufferExtent(env, known.owner.Value());
    if (extent.data != known.extent.data || extent.bytes != known.extent.bytes)
      throw Napi::Error::New(env, "replay: memory of the captured graph has been detached");
  }
  runner->run(env, calls);
}

} // namespace tinybard
