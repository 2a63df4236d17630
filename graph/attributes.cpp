#include "graph/attributes.h"

#include "sluice/error.h"

namespace sluice {

template <typename T>
const T* Attributes::Find(std::string_view name) const {
  const auto it = map_.find(name);
  if (it == map_.end()) return nullptr;
  if (const T* value = std::get_if<T>(&it->second)) return value;
  // An empty list has no type of its own: exporters write it as any list.
  static const T kEmpty{};
  if constexpr (std::is_same_v<T, std::vector<int64_t>> || std::is_same_v<T, std::vector<float>> ||
                std::is_same_v<T, std::vector<std::string>>) {
    const auto* ints = std::get_if<std::vector<int64_t>>(&it->second);
    const auto* floats = std::get_if<std::vector<float>>(&it->second);
    if ((ints && ints->empty()) || (floats && floats->empty())) return &kEmpty;
  }
  throw Error(ErrorCode::kInvalidModel, "attribute '" + std::string(name) + "' has the wrong type");
}

template <typename T>
const T& Attributes::Get(std::string_view name) const {
  if (const T* value = Find<T>(name)) return *value;
  throw Error(ErrorCode::kInvalidModel, "attribute '" + std::string(name) + "' is missing");
}

void Attributes::Erase(std::string_view name) {
  const auto it = map_.find(name);
  if (it != map_.end()) map_.erase(it);
}

int64_t Attributes::Int(std::string_view name) const { return Get<int64_t>(name); }
int64_t Attributes::Int(std::string_view name, int64_t fallback) const {
  const auto* value = Find<int64_t>(name);
  return value ? *value : fallback;
}
float Attributes::Float(std::string_view name) const { return Get<float>(name); }
float Attributes::Float(std::string_view name, float fallback) const {
  const auto* value = Find<float>(name);
  return value ? *value : fallback;
}
const std::string& Attributes::String(std::string_view name) const { return Get<std::string>(name); }
std::string Attributes::String(std::string_view name, std::string_view fallback) const {
  const auto* value = Find<std::string>(name);
  return value ? *value : std::string(fallback);
}
const std::vector<int64_t>& Attributes::Ints(std::string_view name) const {
  return Get<std::vector<int64_t>>(name);
}
std::vector<int64_t> Attributes::Ints(std::string_view name, std::vector<int64_t> fallback) const {
  const auto* value = Find<std::vector<int64_t>>(name);
  return value ? *value : std::move(fallback);
}
const std::vector<float>& Attributes::Floats(std::string_view name) const {
  return Get<std::vector<float>>(name);
}
std::vector<float> Attributes::Floats(std::string_view name, std::vector<float> fallback) const {
  const auto* value = Find<std::vector<float>>(name);
  return value ? *value : std::move(fallback);
}
std::vector<std::string> Attributes::Strings(std::string_view name,
                                             std::vector<std::string> fallback) const {
  const auto* value = Find<std::vector<std::string>>(name);
  return value ? *value : std::move(fallback);
}
const Tensor& Attributes::TensorValue(std::string_view name) const { return Get<Tensor>(name); }
const std::shared_ptr<Graph>& Attributes::Subgraph(std::string_view name) const {
  return Get<std::shared_ptr<Graph>>(name);
}

}  // namespace sluice
