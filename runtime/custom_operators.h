#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "graph/operator.h"
#include "sluice/custom_operator.h"

namespace sluice {

// The operators that a program registered, as definitions that nodes refer to. Must outlive graphs that use
// it.
class CustomOperators {
 public:
  // Throws Error{kInvalidArgument} for null, for names that cannot be and for what is there twice.
  explicit CustomOperators(const std::vector<std::shared_ptr<const CustomOperator>>& operators);

  // As FindOperator, with the program's own first.
  ResolvedOperator Find(std::string_view domain, std::string_view name, int64_t opset) const;

 private:
  struct Definition : Operator {
    std::shared_ptr<const CustomOperator> custom;
  };
  friend class CustomOperatorAccess;
  std::deque<Definition> definitions_;
};

}  // namespace sluice
