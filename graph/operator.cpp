#include "graph/operator.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sluice {
namespace {

using Key = std::pair<std::string_view, std::string_view>;

// Filled during static initialisation, read-only afterwards.
std::multimap<Key, const Operator*>& Registry() {
  static auto* registry = new std::multimap<Key, const Operator*>();
  return *registry;
}

}  // namespace

RegisterOperator::RegisterOperator(const Operator& op) { Registry().emplace(Key(op.domain, op.name), &op); }

ResolvedOperator FindOperator(std::string_view domain, std::string_view name, int64_t opset) {
  ResolvedOperator best;
  const auto [first, last] = Registry().equal_range(Key(domain, name));
  for (auto it = first; it != last; ++it) {
    for (int version : it->second->versions) {
      if (version <= opset && version > best.since_version) best = {it->second, version};
    }
  }
  return best;
}

std::vector<const Operator*> AllOperators() {
  std::vector<const Operator*> all;
  for (const auto& [key, op] : Registry()) all.push_back(op);
  std::sort(all.begin(), all.end(), [](const Operator* a, const Operator* b) {
    return std::tie(a->domain, a->name, a->versions) < std::tie(b->domain, b->name, b->versions);
  });
  return all;
}

}  // namespace sluice
