#include "tools/compare_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "graph/import.h"
#include "sluice/error.h"
#include "tools/elements.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/npy.h"

namespace sluice::tools {
namespace {

int64_t BytesOf(const Value& value) {
  if (value.is_tensor()) return value.tensor().byte_size();
  int64_t bytes = 0;
  if (value.is_sequence()) {
    for (const Value& item : value.items()) bytes += BytesOf(item);
  }
  return bytes;
}

Value Copied(const Value& value) { return value.is_tensor() ? Value(value.tensor().Clone()) : value.Owned(); }

NamedValues Observed(const Session& session, const NamedValues& inputs,
                     const std::function<void(const ObservedValue&)>& observer) {
  RunOptions options;
  options.observer = observer;
  return session.Run(inputs, {}, options);
}

ComparedValue CompareOne(const std::string& name, const Value& got, const Value& want,
                         const Tolerance& tolerance) {
  ComparedValue compared;
  compared.name = name;
  compared.type = DescribeValue(want);
  compared.result = Compare(got, want, tolerance);
  if (got.is_tensor() && want.is_tensor() && got.tensor().dtype() == want.tensor().dtype() &&
      got.tensor().shape() == want.tensor().shape()) {
    compared.errors = ErrorsOf(got.tensor(), want.tensor());
  }
  return compared;
}

// Where a value comes from on the side under test.
struct Origin {
  std::string node, op;
  int64_t step = 0;
};

void Finish(RunComparison& comparison, const std::map<std::string, Origin>& origins) {
  int64_t last = 0;
  for (const auto& [name, origin] : origins) last = std::max(last, origin.step + 1);
  for (ComparedValue& value : comparison.values) {
    const auto origin = origins.find(value.name);
    if (origin == origins.end()) {
      value.step = last;
      continue;
    }
    value.node = origin->second.node;
    value.op = origin->second.op;
    value.step = origin->second.step;
  }
  std::stable_sort(comparison.values.begin(), comparison.values.end(),
                   [](const ComparedValue& a, const ComparedValue& b) { return a.step < b.step; });
}

}  // namespace

RunComparison CompareSessions(const Session& got, const Session& want, const NamedValues& inputs,
                              const CompareOptions& options) {
  const auto stage = [&](const std::string& what) {
    if (options.stage) options.stage(what);
  };
  RunComparison comparison;
  stage("looking for values in common");
  std::map<std::string, Origin> origins;
  NamedValues got_outputs = Observed(got, inputs, [&](const ObservedValue& seen) {
    origins.emplace(seen.name, Origin{seen.node, seen.op, seen.step});
  });
  comparison.runs = 1;
  std::set<std::string> expected, done;
  NamedValues want_outputs;
  // Each turn keeps as many of the expected values as fit, and drops each once its counterpart is there.
  for (bool more = true; more;) {
    more = false;
    std::map<std::string, Value> kept;
    int64_t bytes = 0;
    stage(fmt::format("run {}, {} values compared", comparison.runs + 1, done.size()));
    want_outputs = Observed(want, inputs, [&](const ObservedValue& seen) {
      expected.insert(seen.name);
      if (more || origins.count(seen.name) == 0 || done.count(seen.name) != 0) return;
      const int64_t size = BytesOf(*seen.value);
      if (bytes + size > options.memory_bytes && !kept.empty()) {
        more = true;
        return;
      }
      bytes += size;
      done.insert(seen.name);
      kept[seen.name] = Copied(*seen.value);
    });
    if (kept.empty()) break;
    Observed(got, inputs, [&](const ObservedValue& seen) {
      const auto found = kept.find(seen.name);
      if (found == kept.end()) return;
      comparison.values.push_back(CompareOne(seen.name, *seen.value, found->second, options.tolerance));
      kept.erase(found);
    });
    comparison.runs += 2;
  }
  for (const auto& [name, value] : want_outputs) {
    const auto found = got_outputs.find(name);
    if (found == got_outputs.end() || done.count(name) != 0) continue;
    comparison.values.push_back(CompareOne(name, found->second, value, options.tolerance));
    done.insert(name);
  }
  for (const auto& [name, origin] : origins)
    comparison.only_got += expected.count(name) == 0 && done.count(name) == 0;
  for (const std::string& name : expected) comparison.only_want += done.count(name) == 0;
  Finish(comparison, origins);
  return comparison;
}

RunComparison CompareWithFolder(const Session& got, const std::string& folder, const NamedValues& inputs,
                                const CompareOptions& options) {
  std::set<std::string> files, used;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (Extension(name) == ".npy" || Extension(name) == ".pb") files.insert(name);
  }
  RunComparison comparison;
  std::map<std::string, Origin> origins;
  const auto compare = [&](const std::string& name, const Value& value) {
    for (const char* extension : {".npy", ".pb"}) {
      std::set<std::string> taken;
      const std::string file = SafeFileName(name, taken) + extension;
      if (files.count(file) == 0 || !used.insert(file).second) continue;
      ValueInfo info;
      info.is_sequence = value.is_sequence();
      if (value.is_tensor()) info.dtype = value.tensor().dtype();
      const Value want = ReadInput(folder + "/" + file, info, {}, nullptr);
      comparison.values.push_back(CompareOne(name, value, want, options.tolerance));
      return;
    }
    ++comparison.only_got;
  };
  const NamedValues outputs = Observed(got, inputs, [&](const ObservedValue& seen) {
    if (!origins.emplace(seen.name, Origin{seen.node, seen.op, seen.step}).second) return;
    if (options.stage) options.stage(seen.name);
    compare(seen.name, *seen.value);
  });
  comparison.runs = 1;
  for (const auto& [name, value] : outputs) {
    if (origins.count(name) == 0) compare(name, value);
  }
  for (const std::string& file : files) {
    if (used.count(file) == 0) comparison.unused.push_back(file);
  }
  if (comparison.values.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}': none of its {} .npy and .pb files is named like a value of the model",
                            folder, files.size()));
  }
  Finish(comparison, origins);
  return comparison;
}

const ComparedValue* FirstDivergence(const RunComparison& comparison) {
  for (const ComparedValue& value : comparison.values) {
    if (!value.result.equal) return &value;
  }
  return nullptr;
}

}  // namespace sluice::tools
