#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/session.h"
#include "tools/compare.h"
#include "tools/value_errors.h"

namespace sluice::tools {

// One value that both sides have.
struct ComparedValue {
  std::string name;
  std::string node, op;  // what computes it on the side under test; empty for an output that no step computes
  std::string type;      // "float [1, 3, 416, 416]"
  int64_t step = 0;      // its place in the order in which that side computes
  ValueErrors errors;    // zeros where types or shapes differ
  Comparison result;
};

struct RunComparison {
  std::vector<ComparedValue> values;    // in that order, outputs that no step computes last
  int64_t only_got = 0, only_want = 0;  // values that one side alone has
  std::vector<std::string> unused;      // files of expected tensors that no value is named like
  int64_t runs = 0;                     // of both sides together
};

struct CompareOptions {
  Tolerance tolerance;
  // Values of one side kept at a time; a model with more is run several times.
  int64_t memory_bytes = int64_t{256} << 20;
  std::function<void(std::string_view)> stage;  // told what is at hand; may be empty
};

// Runs both sessions and compares what they compute, by name, `want` being what is expected.
RunComparison CompareSessions(const Session& got, const Session& want, const NamedValues& inputs,
                              const CompareOptions& options);

// The same with expected values from the files of a folder, NAME.npy or NAME.pb, where NAME is the value's as
// SafeFileName makes it. Throws Error{kInvalidArgument} where no file belongs to a value.
RunComparison CompareWithFolder(const Session& got, const std::string& folder, const NamedValues& inputs,
                                const CompareOptions& options);

// The first value that differs though everything before it agrees; null if all agree.
const ComparedValue* FirstDivergence(const RunComparison& comparison);

}  // namespace sluice::tools
