#include "kernels/candidates.h"

#include <gtest/gtest.h>

#include <set>
#include <typeindex>

#include "graph/operator.h"

namespace sluice {
namespace {

// So that CandidateOf can tell them apart.
TEST(Candidates, OfAnOperatorAreOfDifferentClasses) {
  for (const Operator* op : AllOperators()) {
    std::set<std::type_index> types;
    Node node;
    node.op = op;
    for (size_t i = 0; i < op->kernels.size(); ++i) {
      const std::unique_ptr<Kernel> kernel = op->kernels[i]();
      const Kernel& made = *kernel;
      EXPECT_TRUE(types.insert(typeid(made)).second) << op->name << ", candidate " << i;
      EXPECT_EQ(CandidateOf(node, made), i) << op->name;
    }
  }
}

}  // namespace
}  // namespace sluice
