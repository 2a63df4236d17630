#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sluice/tensor.h"

namespace sluice {

class Graph;

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, Tensor, std::vector<Tensor>,
                               std::shared_ptr<Graph>>;

// A node's attributes by name. The getters throw Error{kInvalidModel} naming the attribute when it
// is there with another type; those without a default also when it is absent.
class Attributes {
 public:
  bool Has(std::string_view name) const { return map_.find(name) != map_.end(); }
  void Set(std::string name, Attribute value) { map_[std::move(name)] = std::move(value); }
  void Erase(std::string_view name);

  int64_t Int(std::string_view name) const;
  int64_t Int(std::string_view name, int64_t fallback) const;
  float Float(std::string_view name) const;
  float Float(std::string_view name, float fallback) const;
  const std::string& String(std::string_view name) const;
  std::string String(std::string_view name, std::string_view fallback) const;
  const std::vector<int64_t>& Ints(std::string_view name) const;
  std::vector<int64_t> Ints(std::string_view name, std::vector<int64_t> fallback) const;
  const std::vector<float>& Floats(std::string_view name) const;
  std::vector<float> Floats(std::string_view name, std::vector<float> fallback) const;
  std::vector<std::string> Strings(std::string_view name, std::vector<std::string> fallback) const;
  const Tensor& TensorValue(std::string_view name) const;
  const std::shared_ptr<Graph>& Subgraph(std::string_view name) const;

  const std::map<std::string, Attribute, std::less<>>& all() const { return map_; }

 private:
  template <typename T>
  const T* Find(std::string_view name) const;
  template <typename T>
  const T& Get(std::string_view name) const;

  std::map<std::string, Attribute, std::less<>> map_;
};

}  // namespace sluice
