#include "runtime/tuner.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>

#include "graph/operator.h"
#include "kernels/candidates.h"
#include "kernels/measuring.h"
#include "kernels/parallel.h"
#include "kernels/reorder.h"
#include "kernels/scratch.h"
#include "sluice/error.h"
#include "sluice/session.h"

namespace sluice {
namespace {

// Times of a step vary; the least of a few runs does not much. A step of seconds is run once more and no
// longer.
constexpr int kRuns = 5;
constexpr int64_t kEnoughNs = 50'000'000;
// A candidate this many times slower than the best one at its first run is not looked at again.
constexpr int64_t kHopeless = 3;

std::string Processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string Joined(std::span<const int64_t> values) {
  std::string text;
  for (int64_t value : values) {
    if (!text.empty()) text += ',';
    text += std::to_string(value);
  }
  return text;
}

// Nothing for attributes that have no short text; convolutions and products have none of those.
std::optional<std::string> TextOf(const Attribute& attribute) {
  if (const auto* i = std::get_if<int64_t>(&attribute)) return std::to_string(*i);
  if (const auto* f = std::get_if<float>(&attribute)) return std::to_string(*f);
  if (const auto* s = std::get_if<std::string>(&attribute)) return *s;
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&attribute)) return Joined(*ints);
  return std::nullopt;
}

// What the speed of a step depends on; nothing for steps that are not measured.
std::optional<std::string> KeyOf(const Node& node, int threads, const PrepareContext& ctx) {
  if (!node.op->takes_post_ops || node.op->kernels.size() < 2) return std::nullopt;
  static const std::string machine = std::string(Version()) + '\t' + Processor() + '\t';
  std::string key = machine + std::to_string(threads) + '\t' + node.op_type;
  if (ctx.accuracy() == Accuracy::kStrict) key += " strict";
  if (ctx.accuracy() == Accuracy::kFast) key += " fast";
  for (const auto& [name, attribute] : node.attrs.all()) {
    const auto text = TextOf(attribute);
    if (!text) return std::nullopt;
    key += ' ' + name + '=' + *text;
  }
  if (const Tensor* weights = ctx.constant(1); weights && !ctx.weights_may_grow(weights->byte_size()))
    key += " as small as they are";
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TensorDesc& desc = ctx.input(static_cast<int>(i));
    if (desc.dtype == DataType::kUndefined) {
      key += " -";
      continue;
    }
    if (desc.dtype != DataType::kFloat) return std::nullopt;
    key += std::string(ctx.constant(static_cast<int>(i)) != nullptr ? " constant[" : " float[") +
           Joined(desc.shape) + ']' + LayoutName(desc.layout);
  }
  for (const PostOp& op : node.post_ops) key += " +" + ToString(op);
  // A line must stay one.
  std::replace(key.begin(), key.end(), '\n', ' ');
  return key;
}

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A prepared step with memory of its own, and the reorders that its wishes cost.
class Trial {
 public:
  Trial(const PreparedStep& step, const PrepareContext& ctx) : step_(step) {
    for (size_t i = 0; i < step.request.input_layouts.size(); ++i) {
      TensorDesc given = ctx.input(static_cast<int>(i)), wanted = given;
      if (given.dtype == DataType::kUndefined || step.request.unread[i]) {
        inputs_.push_back(nullptr);
        continue;
      }
      wanted.layout = step.request.input_layouts[i];
      void* const dst = Zeros(wanted);
      inputs_.push_back(dst);
      if (given.layout == wanted.layout || ctx.constant(static_cast<int>(i)) != nullptr) continue;
      reorders_.push_back({given, wanted, Zeros(given), dst});
    }
    for (const TensorDesc& desc : step.outputs) outputs_.push_back(Zeros(desc));
  }

  int64_t RunNs() const {
    const int64_t begin = NowNs();
    for (const Reorder& reorder : reorders_) {
      ForEachTile(ReorderTiles(reorder.from, reorder.to), [&](int64_t tile) {
        RunReorder(reorder.from, reorder.src, reorder.to, reorder.dst, tile);
      });
    }
    ForEachTile(step_.kernel->tiles(), [&](int64_t tile) {
      const Scratch scratch(step_.request.scratch_bytes);
      step_.kernel->Run(RunContext(inputs_, outputs_, scratch.data(), nullptr), tile);
    });
    return NowNs() - begin;
  }

 private:
  struct Reorder {
    TensorDesc from, to;
    const void* src;
    void* dst;
  };

  // Zeros are no slower to multiply than other numbers, and never denormal.
  void* Zeros(const TensorDesc& desc) {
    memory_.emplace_back(DataType::kUInt8, Shape{desc.byte_size()});
    std::fill_n(static_cast<std::byte*>(memory_.back().mutable_data()), desc.byte_size(), std::byte(0));
    return memory_.back().mutable_data();
  }

  const PreparedStep& step_;
  std::vector<Tensor> memory_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::vector<Reorder> reorders_;
};

// Prepares the node's candidates in order, each in all its ways, until take(step) says so; that step. Nothing
// if it never does. `wanted`: see MeasuringScope.
template <typename Take>
std::optional<PreparedStep> ForEachWay(const Node& node, const std::function<PrepareContext()>& make_context,
                                       const std::string& wanted, std::vector<std::string>& declined,
                                       const Take& take) {
  for (size_t i = 0; i < node.op->kernels.size(); ++i) {
    for (int way = 0, ways = 1; way < ways; ++way) {
      const MeasuringScope scope(way, wanted);
      auto step = PrepareCandidate(node, i, make_context, declined);
      ways = scope.ways();
      if (step && take(*step)) return step;
    }
  }
  return std::nullopt;
}

}  // namespace

std::shared_ptr<Tuner> Tuner::ForFile(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Tuner>> tuners;
  const std::lock_guard lock(mutex);
  std::weak_ptr<Tuner>& known = tuners[path];
  if (auto tuner = known.lock()) return tuner;
  const std::shared_ptr<Tuner> tuner(new Tuner(path));
  known = tuner;
  return tuner;
}

Tuner::Tuner(std::string path) : path_(std::move(path)) {
  if (!std::ofstream(path_, std::ios::app)) {
    throw Error(ErrorCode::kInvalidArgument, "cannot write the tuning file '" + path_ + "'");
  }
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.rfind('\t');
    if (tab != std::string::npos && std::count(line.begin(), line.end(), '\t') == 4) {
      choices_[line.substr(0, tab)] = line.substr(tab + 1);
    }
  }
}

PreparedStep Tuner::Prepare(const Node& node, int threads,
                            const std::function<PrepareContext()>& make_context) {
  const std::optional<std::string> key = KeyOf(node, threads, make_context());
  if (!key) return PrepareKernel(node, make_context);
  std::string known;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = choices_.find(*key); found != choices_.end()) known = found->second;
  }
  if (!known.empty()) {
    std::vector<std::string> declined;
    auto step = ForEachWay(node, make_context, known, declined, [&](PreparedStep& found) {
      if (found.kernel->name() == known) return true;
      declined.push_back(found.kernel->name() + ": measured slower");
      return false;
    });
    if (step) {
      step->declined = std::move(declined);
      return std::move(*step);
    }
  }
  PreparedStep step = Measure(node, make_context);
  Remember(*key, step.kernel->name());
  return step;
}

PreparedStep Tuner::Measure(const Node& node, const std::function<PrepareContext()>& make_context) {
  std::optional<PreparedStep> best;
  int64_t best_ns = INT64_MAX;
  std::vector<std::string> declined;
  const PrepareContext given = make_context();
  ForEachWay(node, make_context, "", declined, [&](PreparedStep& step) {
    // The portable kernel is there for what nobody else does.
    if (best && step.kernel->name() == "plain") return false;
    const Trial trial(step, given);
    int64_t ns = trial.RunNs();
    const int64_t first_ns = ns;
    for (int run = 1; run < kRuns && ns / kHopeless < best_ns; ++run) {
      ns = std::min(ns, trial.RunNs());
      if (run * first_ns > kEnoughNs) break;
    }
    const bool better = ns < best_ns;
    if (best || !better) declined.push_back((better ? *best : step).kernel->name() + ": measured slower");
    if (better) {
      best_ns = ns;
      best = std::move(step);
    }
    return false;
  });
  if (!best) return PrepareKernel(node, make_context);
  best->declined = std::move(declined);
  return std::move(*best);
}

void Tuner::Remember(const std::string& key, const std::string& kernel) {
  const std::lock_guard lock(mutex_);
  choices_[key] = kernel;
  // One write, so that lines of several processes do not mix.
  const std::string line = key + '\t' + kernel + '\n';
  std::ofstream(path_, std::ios::app).write(line.data(), static_cast<std::streamsize>(line.size())).flush();
}

}  // namespace sluice
