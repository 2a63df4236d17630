#include <cmath>

#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

using Ints = std::vector<int64_t>;

struct Case {
  Ints in, kernel, strides, dilations, pads, out;
  int64_t n, groups, offset_groups, icg, ocg;
};

int64_t Product(const Ints& v) { return NumElements(v); }

// Coordinates of element i of a box.
Ints At(int64_t i, const Ints& sizes) {
  Ints at(sizes.size());
  for (size_t d = sizes.size(); d-- > 0; i /= sizes[d]) at[d] = i % sizes[d];
  return at;
}

// x between its elements, zeros around it.
double Between(const float* x, const Ints& sizes, const std::vector<double>& place) {
  double sum = 0;
  for (int64_t i = 0; i < Product(sizes); ++i) {
    const Ints at = At(i, sizes);
    double weight = 1;
    for (size_t d = 0; d < sizes.size(); ++d)
      weight *= std::max(0.0, 1 - std::abs(place[d] - static_cast<double>(at[d])));
    if (weight != 0) sum += weight * x[i];
  }
  return sum;
}

Tensor Definition(const Case& c, const Tensor& x, const Tensor& w, const Tensor& offset, const Tensor& bias,
                  const Tensor& mask) {
  const int64_t ic = c.groups * c.icg, oc = c.groups * c.ocg, in = Product(c.in), out = Product(c.out),
                taps = Product(c.kernel), axes = static_cast<int64_t>(c.in.size());
  Shape shape = {c.n, oc};
  shape.insert(shape.end(), c.out.begin(), c.out.end());
  Tensor result(DataType::kFloat, shape);
  const float *xs = x.values<float>().data(), *ws = w.values<float>().data(),
              *os = offset.values<float>().data();
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    const int64_t p = i % out, o = i / out % oc, n = i / out / oc;
    const Ints at = At(p, c.out);
    double sum = bias.empty() ? 0 : bias.values<float>()[static_cast<size_t>(o)];
    for (int64_t k = 0; k < c.icg; ++k) {
      const int64_t channel = o / c.ocg * c.icg + k, og = channel / (ic / c.offset_groups);
      for (int64_t t = 0; t < taps; ++t) {
        const Ints tap = At(t, c.kernel);
        std::vector<double> place;
        for (int64_t d = 0; d < axes; ++d) {
          const auto u = static_cast<size_t>(d);
          const double shift = os[(((n * c.offset_groups + og) * taps + t) * axes + d) * out + p];
          place.push_back(static_cast<double>(at[u] * c.strides[u] + tap[u] * c.dilations[u] - c.pads[u]) +
                          shift);
        }
        const double factor = mask.empty() ? 1
                                           : mask.values<float>()[static_cast<size_t>(
                                                 ((n * c.offset_groups + og) * taps + t) * out + p)];
        sum += factor * ws[(o * c.icg + k) * taps + t] * Between(xs + (n * ic + channel) * in, c.in, place);
      }
    }
    result.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(sum);
  }
  return result;
}

TEST(DeformConv, AgreesWithTheDefinition) {
  std::mt19937 engine(9);
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto draw = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(engine() % static_cast<uint32_t>(high - low + 1));
    };
    Case c;
    c.n = draw(0, 2);
    c.groups = draw(1, 3);
    c.icg = draw(1, 4);
    c.ocg = draw(1, 5);
    const int64_t ic = c.groups * c.icg;
    do c.offset_groups = draw(1, ic);
    while (ic % c.offset_groups != 0);
    Ints pads_end;
    for (int64_t d = draw(1, 3); d > 0; --d) {
      c.kernel.push_back(draw(1, 3));
      c.strides.push_back(draw(1, 2));
      c.dilations.push_back(draw(1, 2));
      c.pads.push_back(draw(0, 2));
      pads_end.push_back(draw(0, 2));
      c.in.push_back(draw(1, 4) + c.dilations.back() * (c.kernel.back() - 1));
      c.out.push_back(
          (c.in.back() + c.pads.back() + pads_end.back() - c.dilations.back() * (c.kernel.back() - 1) - 1) /
              c.strides.back() +
          1);
    }
    const int64_t taps = Product(c.kernel), axes = static_cast<int64_t>(c.in.size());
    const auto with = [](Shape shape, const Ints& spatial) {
      shape.insert(shape.end(), spatial.begin(), spatial.end());
      return shape;
    };
    const Tensor x = Random(with({c.n, ic}, c.in), engine()),
                 w = Random(with({c.groups * c.ocg, c.icg}, c.kernel), engine()),
                 offset = Random(with({c.n, c.offset_groups * taps * axes}, c.out), engine(), 1.5f),
                 bias = engine() % 2 ? Random({c.groups * c.ocg}, engine()) : Tensor(),
                 mask =
                     engine() % 2 ? Random(with({c.n, c.offset_groups * taps}, c.out), engine()) : Tensor();
    Ints pads = c.pads;
    pads.insert(pads.end(), pads_end.begin(), pads_end.end());
    const Attrs attrs = {{"group", c.groups},        {"offset_group", c.offset_groups},
                         {"strides", c.strides},     {"dilations", c.dilations},
                         {"kernel_shape", c.kernel}, {"pads", pads}};
    ExpectTensor(RunOp({"DeformConv", engine() % 2 ? 19 : 22, attrs, {x, w, offset, bias, mask}})[0],
                 Definition(c, x, w, offset, bias, mask), 1e-4, 1e-4);
  }
}

TEST(DeformConv, OfOtherTypes) {
  ExpectTensor(RunOp({"DeformConv",
                      22,
                      {},
                      {Make<Half>({1, 1, 2}, {1, 2}), Make<Half>({1, 1, 1}, {2}),
                       Make<Half>({1, 1, 2}, {0.5f, 9})}})[0],
               Make<Half>({1, 1, 2}, {3, 0}));
  ExpectTensor(RunOp({"DeformConv",
                      19,
                      {},
                      {Make<double>({1, 1, 2}, {1, 2}), Make<double>({1, 1, 1}, {2}),
                       Make<double>({1, 1, 2}, {0.5, std::nan("")})}})[0],
               Make<double>({1, 1, 2}, {3, 0}));
}

TEST(DeformConv, Refuses) {
  const Tensor x = F({1, 1, 2}, {1, 2}), w = F({1, 1, 1}, {1}), offset = F({1, 1, 2}, {0, 0});
  ExpectRefused({"DeformConv", 19, {}, {x, w, F({1, 2, 2}, {0, 0, 0, 0})}}, "expected [1, 1, 2]");
  ExpectRefused({"DeformConv", 19, {}, {x, w, offset, Tensor(), F({1, 1, 1}, {0})}}, "mask is [1, 1, 1]");
  ExpectRefused({"DeformConv", 19, {{"offset_group", int64_t{2}}}, {x, w, offset}},
                "a divisor of the [1] channels");
  ExpectRefused({"DeformConv", 19, {}, {x, w, Make<double>({1, 1, 2}, {0, 0})}}, "expected float");
}

}  // namespace
}  // namespace sluice::test
