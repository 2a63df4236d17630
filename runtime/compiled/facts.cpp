#include "runtime/compiled/facts.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/printable.h"
#include "kernels/cache_sizes.h"
#include "kernels/onednn/target.h"
#include "kernels/simd/target.h"

namespace sluice {
namespace {

std::string Machine() {
#if defined(__x86_64__)
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

std::string AccuracyName(Accuracy accuracy) {
  return accuracy == Accuracy::kStrict ? "strict" : accuracy == Accuracy::kFast ? "fast" : "default";
}

std::string PassesOf(const SessionOptions& options) {
  if (!options.passes) return "off";
  const std::set<std::string> disabled(options.disabled_passes.begin(), options.disabled_passes.end());
  std::string text = "on";
  for (const std::string& pass : disabled) text += (text == "on" ? " but " : ", ") + pass;
  return text;
}

}  // namespace

std::vector<Fact> FactsOf(const SessionOptions& options) {
  std::vector<Fact> facts = {{"the processor", Machine()},
                             {"its vector instructions", SimdTarget()},
                             {"its caches in KiB", CacheSizesText()},
                             {"oneDNN", onednn::TargetName()},
                             {"the accuracy", AccuracyName(options.accuracy)},
                             {"the passes", PassesOf(options)}};
  if (options.max_weight_bytes != INT64_MAX)
    facts.emplace_back("the most bytes of weights", std::to_string(options.max_weight_bytes));
  return facts;
}

std::string Differences(std::span<const Fact> compiled, std::span<const Fact> here) {
  const std::map<std::string, std::string> known(compiled.begin(), compiled.end());
  std::string text;
  for (const auto& [name, value] : here) {
    const auto found = known.find(name);
    const std::string other = found == known.end() ? "not stated" : found->second;
    if (other == value) continue;
    text += (text.empty() ? "" : "; ") + name + ": " + Printable(other) + ", here " + Printable(value);
  }
  return text;
}

}  // namespace sluice
