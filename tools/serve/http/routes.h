#pragma once

#include <string>
#include <string_view>

namespace sluice::serve {

enum class Call {
  kUnknown,
  kAsset,  // a file of the web page
  kMetrics,
  kLive,
  kReady,
  kServer,
  kModelReady,
  kModel,
  kConfig,
  kStatistics,
  kInfer,
  kIndex,
  kLoad,
  kUnload,
  kUnsupported,  // of Triton's, and not ours: shared memory, trace and log settings, ensembles' generate
};

struct Route {
  Call call = Call::kUnknown;
  std::string model, version;  // "" where the path has none
  std::string path;            // decoded, without query
};

// What a request's target asks for, whatever its method. Names are decoded (%2F); those that could not be a
// folder's name, such as "..", make the route unknown.
Route ParseRoute(std::string_view target);

// The methods of a call, as Allow lists them; "" where any will do.
std::string_view MethodsOf(Call call);

}  // namespace sluice::serve
