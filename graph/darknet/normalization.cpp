#include <algorithm>

#include "graph/darknet/network.h"

// [batchnorm], [l2norm], [normalization] (or [lrn]), [activation], [logistic]: sections that work on single
// elements or on the channels of one position.

namespace sluice::darknet {
namespace {

Layer With(const Layer& x, ValueId value) {
  Layer y = x;
  y.value = value;
  return y;
}

Layer BatchNorm(Network& net, const Section&) {
  const Layer& x = net.current;
  Tensor bias = net.weights.TakeNear({x.c}, 0.0f, 0.05f);
  return With(x, Normalize(net, x.value, TakeNormalization(net, std::move(bias), x.c)));
}

// Each position's channels over the root of the sum of their squares.
Layer L2Norm(Network& net, const Section&) {
  const Layer& x = net.current;
  return With(x, net.build.Op("Div", {x.value, net.build.Reduce("ReduceL2", x.value, {1}, true)}));
}

// x * (kappa + alpha * sum of squares of nearby channels)^-beta. Darknet's running sum begins with the
// channels before size / 2 and never sees the channel size / 2 itself come, only go.
Layer Normalization(Network& net, const Section& section) {
  const Layer& x = net.current;
  WantPicture(section, x);
  const float alpha = section.Float("alpha", 0.0001f), beta = section.Float("beta", 0.75f);
  const float kappa = section.Float("kappa", 1.0f);
  const int64_t size = section.Int("size", 5, 1);
  constexpr int64_t kMostChannels = 1 << 12;
  if (x.c > kMostChannels)
    section.Fail("", "expected at most " + std::to_string(kMostChannels) + " channels");
  GraphBuilder& b = net.build;
  Tensor factors(DataType::kFloat, {x.c, x.c, 1, 1}), offsets(DataType::kFloat, {x.c});
  auto rows = factors.mutable_values<float>();
  std::fill(rows.begin(), rows.end(), 0.0f);
  std::fill_n(offsets.mutable_values<float>().begin(), x.c, kappa);
  for (int64_t k = 0; k < x.c; ++k) {
    float* row = &rows[static_cast<size_t>(k * x.c)];
    if (k == 0) {
      std::fill_n(row, std::min(size / 2, x.c), alpha);
      continue;
    }
    std::copy_n(row - x.c, x.c, row);
    const int64_t gone = k - (size - 1) / 2 - 1, come = k + size / 2;
    if (gone >= 0) row[gone] -= alpha;
    if (come < x.c) row[come] += alpha;
  }
  const ValueId sums = b.Op("Conv",
                            {b.Op("Mul", {x.value, x.value}), b.Constant("factors", std::move(factors)),
                             b.Constant("kappa", std::move(offsets))},
                            {{"kernel_shape", std::vector<int64_t>{1, 1}}});
  return With(x, b.Op("Mul", {x.value, b.Op("Pow", {sums, b.Scalar("beta", -beta)})}));
}

Layer Activation(Network& net, const Section& section) {
  return With(net.current, Activate(net, section, net.current.value, "linear"));
}

Layer Logistic(Network& net, const Section&) {
  return With(net.current, net.build.Op("Sigmoid", {net.current.value}));
}

const RegisterSection kBatchNorm({"batchnorm"}, BatchNorm);
const RegisterSection kL2Norm({"l2norm"}, L2Norm);
const RegisterSection kNormalization({"normalization", "lrn"}, Normalization);
const RegisterSection kActivation({"activation"}, Activation);
const RegisterSection kLogistic({"logistic"}, Logistic);

}  // namespace
}  // namespace sluice::darknet
