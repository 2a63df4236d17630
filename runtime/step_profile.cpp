#include "runtime/step_profile.h"

#include <algorithm>

namespace sluice {
namespace {

std::string DescribeSlot(const Slot& slot) {
  if (slot.place.kind == Place::Kind::kDynamic) return "sized by the run";
  std::string text = std::string(DataTypeName(slot.desc.dtype)) + " " + ToString(slot.desc.shape);
  if (slot.desc.layout != Layout::kPlain) text += std::string(" ") + LayoutName(slot.desc.layout);
  return text;
}

std::string Operators(const Node& node) {
  std::string text = node.op_type;
  for (const PostOp& post_op : node.post_ops) text += " + " + ToString(post_op);
  return text;
}

}  // namespace

StepProfile DescribeStep(const Graph& graph, const Plan& plan, const Step& step) {
  StepProfile profile;
  if (step.node == nullptr) {
    profile.node = step.value;
    profile.op = "Reorder";
  } else {
    const Node& node = *step.node;
    profile.node = node.name;
    for (size_t i = 0; profile.node.empty() && i < node.outputs.size(); ++i) {
      if (node.outputs[i] != ValueId::kNone) profile.node = graph.value(node.outputs[i]).name;
    }
    for (const Node* earlier : step.earlier) profile.op += Operators(*earlier) + ", ";
    profile.op += Operators(node);
  }
  profile.kernel = step.kernel ? step.kernel->name() : "at run time";
  profile.declined = step.declined;
  profile.tiles = step.tiles;
  profile.flops = step.kernel ? step.kernel->flops() : 0;
  for (int slot : step.inputs) {
    profile.input_shapes.push_back(slot < 0 ? "none" : DescribeSlot(plan.slots[static_cast<size_t>(slot)]));
  }
  for (int slot : step.outputs) {
    if (slot < 0) continue;
    profile.output_shape = DescribeSlot(plan.slots[static_cast<size_t>(slot)]);
    break;
  }
  return profile;
}

void StepProfiler::Add(const Frame& frame) {
  const std::lock_guard lock(mutex_);
  ++calls_;
  total_ns_.resize(frame.plan().steps.size());
  last_.clear();
  size_t at = 0;
  for (size_t s = 0; s < frame.plan().steps.size(); ++s) {
    const auto tiles = static_cast<size_t>(frame.plan().steps[s].tiles);
    const auto events = frame.events().subspan(at, tiles);
    at += std::max<size_t>(tiles, 1);
    if (events.empty()) continue;
    int64_t begin = events[0].begin_ns, end = events[0].end_ns;
    for (const TraceEvent& event : events) {
      begin = std::min(begin, event.begin_ns);
      end = std::max(end, event.end_ns);
    }
    total_ns_[s] += end - begin;
    last_.insert(last_.end(), events.begin(), events.end());
  }
}

std::vector<StepProfile> StepProfiler::Profile(const Graph& graph, const Plan& plan) const {
  const std::lock_guard lock(mutex_);
  std::vector<StepProfile> profiles;
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    profiles.push_back(DescribeStep(graph, plan, plan.steps[s]));
    profiles.back().calls = calls_;
    profiles.back().total_ns = s < total_ns_.size() ? total_ns_[s] : 0;
  }
  return profiles;
}

std::vector<TraceEvent> StepProfiler::trace() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

}  // namespace sluice
