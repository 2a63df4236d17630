#include "kernels/measuring.h"

#include <utility>

namespace sluice {
namespace {

thread_local MeasuringScope* innermost = nullptr;

}  // namespace

MeasuringScope::MeasuringScope(int way, std::string wanted)
    : way_(way), wanted_(std::move(wanted)), outer_(std::exchange(innermost, this)) {}

MeasuringScope::~MeasuringScope() { innermost = outer_; }

bool MeasuringScope::active() { return innermost != nullptr; }

int MeasuringScope::WayOf(int ways) {
  if (innermost == nullptr) return 0;
  innermost->ways_ = ways;
  return innermost->way_ < ways ? innermost->way_ : 0;
}

bool MeasuringScope::Unwanted(const std::string& name) {
  return innermost != nullptr && !innermost->wanted_.empty() && innermost->wanted_ != name;
}

}  // namespace sluice
