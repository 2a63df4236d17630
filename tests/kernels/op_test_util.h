#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "graph/operator.h"
#include "kernels/dispatch.h"
#include "kernels/evaluate.h"
#include "sluice/error.h"

namespace sluice::test {

using Attrs = std::map<std::string, Attribute>;

struct OpCase {
  std::string op;
  int opset = 0;
  Attrs attrs = {};
  std::vector<Value> inputs = {};   // an empty Tensor is an absent input
  int num_outputs = 1;
  std::string domain = {};
  std::vector<PostOp> post_ops = {};
};

inline Node MakeNode(const OpCase& c) {
  Node node;
  node.op_type = c.op;
  node.domain = c.domain;
  node.name = "test";
  const ResolvedOperator found = FindOperator(c.domain, c.op, c.opset);
  if (found.op == nullptr) throw Error(ErrorCode::kUnsupported, "no definition of " + c.op);
  node.op = found.op;
  node.since_version = found.since_version;
  for (const auto& [name, value] : c.attrs) node.attrs.Set(name, value);
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    node.inputs.push_back(c.inputs[i].is_none() ? ValueId::kNone : static_cast<ValueId>(i));
  }
  node.post_ops = c.post_ops;
  for (int i = 0; i < c.num_outputs; ++i) node.outputs.push_back(static_cast<ValueId>(100 + i));
  return node;
}

// Runs the operator as the evaluator would.
inline std::vector<Value> RunOp(const OpCase& c) {
  const Node node = MakeNode(c);
  return Evaluate(node, c.inputs);
}

template <typename T>
Tensor Make(const Shape& shape, std::initializer_list<T> values) {
  CheckElementCount(shape, values.size());
  Tensor result(kDataType<T>, shape);
  std::copy(values.begin(), values.end(), static_cast<T*>(result.mutable_data()));
  return result;
}
inline Tensor F(const Shape& shape, std::initializer_list<float> values) { return Make<float>(shape, values); }
inline Tensor I(const Shape& shape, std::initializer_list<int64_t> values) {
  return Make<int64_t>(shape, values);
}

// Float elements from a normal distribution; the same for the same seed.
inline Tensor Random(const Shape& shape, uint32_t seed, float scale = 1.0f) {
  Tensor result(DataType::kFloat, shape);
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, scale);
  for (float& value : result.mutable_values<float>()) value = normal(engine);
  return result;
}

// Same type and shape, and equal elements; floats within atol + rtol * |want|, NaN equal to NaN.
inline void ExpectTensor(const Value& got, const Tensor& want, double atol = 1e-6, double rtol = 1e-5) {
  ASSERT_TRUE(got.is_tensor());
  ASSERT_EQ(DataTypeName(got.tensor().dtype()), DataTypeName(want.dtype()));
  ASSERT_EQ(got.tensor().shape(), want.shape());
  using All = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                       uint32_t, uint64_t, bool, std::string>;
  Dispatch(All(), want.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto a = got.tensor().template values<T>();
    const auto b = want.template values<T>();
    for (size_t i = 0; i < b.size(); ++i) {
      if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, Half> ||
                    std::is_same_v<T, BFloat16>) {
        const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
        if (x == y || (std::isnan(x) && std::isnan(y))) continue;
        ASSERT_LE(std::abs(x - y), atol + rtol * std::abs(y)) << "element " << i << ": " << x << " vs " << y;
      } else {
        ASSERT_EQ(a[i], b[i]) << "element " << i;
      }
    }
  });
}

// The operator refuses, and says why in terms that contain `part`.
inline void ExpectRefused(const OpCase& c, const std::string& part) {
  try {
    RunOp(c);
    FAIL() << c.op << ": no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace sluice::test
