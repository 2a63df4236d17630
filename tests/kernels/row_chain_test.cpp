#include "kernels/row_chain.h"

#include <cstring>

#include "kernels/candidates.h"
#include "kernels/scratch.h"
#include "tests/kernels/layout_test_util.h"

// Chains against the same kernels one after the other: every bit must agree, padding included.

namespace sluice::test {
namespace {

// A prepared step on what the one before makes, and where its inputs are.
struct Prepared {
  OpCase c;
  PreparedStep step;
  std::vector<Tensor> operands;  // in the layouts asked for; the first input is not among them
};

// The kernel called `name`; nothing if it declines.
std::optional<Prepared> Prepare(OpCase c, const TensorDesc& src, const std::string& name) {
  OpCase whole = c;
  whole.inputs[0] = Random(src.shape, 1);
  const Shape shape = RunOp(whole)[0].tensor().shape();
  const Node node = MakeNode(whole);
  std::vector<TensorDesc> inputs = {src};
  std::vector<const Tensor*> constants = {nullptr};
  for (size_t i = 1; i < c.inputs.size(); ++i) {
    inputs.push_back({DataType::kFloat, c.inputs[i].tensor().shape()});
    constants.push_back(i < 3 ? &c.inputs[i].tensor() : nullptr);
  }
  const auto make = [&] {
    return PrepareContext(node, inputs, constants, {{DataType::kFloat, shape}}, {true}, {});
  };
  for (size_t i = 0; i < node.op->kernels.size(); ++i) {
    std::vector<std::string> declined;
    auto step = PrepareCandidate(node, i, make, declined);
    if (!step || step->kernel->name() != name) continue;
    Prepared prepared{c, std::move(*step), {}};
    for (size_t j = 1; j < inputs.size(); ++j) {
      TensorDesc wanted = inputs[j];
      wanted.layout = prepared.step.request.input_layouts[j];
      prepared.operands.push_back(wanted.layout == Layout::kPlain
                                      ? c.inputs[j].tensor()
                                      : Reordered(inputs[j], c.inputs[j].tensor().data(), wanted));
    }
    return prepared;
  }
  return std::nullopt;
}

OpCase Conv(int64_t ic, int64_t oc, int64_t kernel, int64_t stride, int64_t pad, uint32_t seed,
            int64_t groups = 1) {
  OpCase c{.op = "Conv", .opset = 13};
  c.attrs = {{"strides", std::vector<int64_t>(2, stride)},
             {"pads", std::vector<int64_t>(4, pad)},
             {"group", groups}};
  c.inputs = {Value(), Random({oc, ic / groups, kernel, kernel}, seed), Random({oc}, seed + 1)};
  c.post_ops = {{PostOp::Kind::kLeakyRelu, 0.1f}};
  return c;
}
OpCase Depthwise(int64_t channels, int64_t kernel, int64_t stride, uint32_t seed) {
  return Conv(channels, channels, kernel, stride, kernel / 2, seed, channels);
}
OpCase MaxPool(int64_t kernel, int64_t stride, int64_t pad) {
  OpCase c{.op = "MaxPool", .opset = 13};
  c.attrs = {{"kernel_shape", std::vector<int64_t>(2, kernel)},
             {"strides", std::vector<int64_t>(2, stride)},
             {"pads", std::vector<int64_t>(4, pad)}};
  c.inputs = {Value()};
  return c;
}

Tensor RunTiles(const Kernel& kernel, const TensorDesc& dst, int64_t scratch_bytes,
                const std::vector<const void*>& in, bool together) {
  Tensor result(DataType::kFloat, {dst.byte_size() / 4});
  std::memset(result.mutable_data(), 0xff, static_cast<size_t>(result.byte_size()));
  std::vector<void*> out = {result.mutable_data()};
  // Backwards: tiles know nothing of each other.
  const int64_t step = together ? kernel.together() : 1;
  for (int64_t tile = kernel.tiles() - step; tile >= 0; tile -= step) {
    const Scratch scratch(scratch_bytes);
    if (scratch_bytes > 0) std::memset(scratch.data(), 0xff, static_cast<size_t>(scratch_bytes));
    kernel.RunTogether(RunContext(in, out, scratch.data(), nullptr), tile, step);
  }
  return result;
}

// Each stage is a case and the kernel to take. `residual`: the last one adds a value like its output.
void Check(const Shape& shape, Layout layout, std::vector<std::pair<OpCase, std::string>> stages,
           bool residual, int64_t buffer_bytes) {
  TensorDesc desc{DataType::kFloat, shape, layout};
  const Tensor plain = Random(shape, 7);
  Tensor value = layout == Layout::kPlain ? plain : Reordered({DataType::kFloat, shape}, plain.data(), desc);
  const Tensor image = value;
  std::unique_ptr<Kernel> chain;
  std::vector<const void*> inputs;
  std::vector<Tensor> held;
  int64_t chain_scratch = 0;
  for (size_t i = 0; i < stages.size(); ++i) {
    auto& [c, name] = stages[i];
    if (residual && i + 1 == stages.size()) {
      OpCase whole = c;
      whole.inputs[0] = Random(desc.shape, 1);
      c.inputs.push_back(Random(RunOp(whole)[0].tensor().shape(), 9));
      c.post_ops = {{.kind = PostOp::Kind::kAdd, .operand = 3}};
    }
    auto prepared = Prepare(c, desc, name);
    ASSERT_TRUE(prepared) << name;
    ASSERT_EQ(prepared->step.request.input_layouts[0], desc.layout);
    std::vector<const void*> in = {value.data()};
    for (const Tensor& operand : prepared->operands) in.push_back(operand.data());
    held.insert(held.end(), prepared->operands.begin(), prepared->operands.end());
    desc = prepared->step.outputs[0];
    value = RunTiles(*prepared->step.kernel, desc, prepared->step.request.scratch_bytes, in, false);
    held.push_back(value);
    const size_t before = inputs.size();
    inputs.insert(inputs.end(), in.begin(), in.end());
    if (i > 0) inputs[before] = nullptr;
    if (!chain) {
      chain = std::move(prepared->step.kernel);
      continue;
    }
    auto joined = RowChain::Join(std::move(chain), before, std::move(prepared->step.kernel), buffer_bytes);
    chain_scratch = joined->scratch_bytes();
    chain = std::move(joined);
  }
  for (bool together : {false, true}) {
    const Tensor got = RunTiles(*chain, desc, chain_scratch, inputs, together);
    ASSERT_EQ(0, std::memcmp(got.data(), value.data(), static_cast<size_t>(value.byte_size())))
        << chain->name() << " of " << ToString(shape) << ", " << chain->tiles() << " tiles, together "
        << together;
  }
}

TEST(RowChain, InvertedResiduals) {
  const Layout blocked = NativeBlockedLayout();
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    const auto pick = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random() % static_cast<uint32_t>(high - low + 1));
    };
    const int64_t n = pick(1, 2), ic = pick(8, 40), middle = pick(8, 70), oc = pick(8, 40);
    const int64_t kernel = pick(0, 1) ? 3 : 5, stride = pick(1, 2);
    Check({n, ic, pick(kernel, 60), pick(kernel, 40)}, blocked,
          {{Conv(ic, middle, 1, 1, 0, 3), "direct"},
           {Depthwise(middle, kernel, stride, 4), "depthwise"},
           {Conv(middle, oc, 1, 1, 0, 5), "direct"}},
          pick(0, 1) == 1, pick(0, 3) == 0 ? 0 : pick(1, 40) * 4096);
  }
}

TEST(RowChain, BandsOfLargeImages) {
  Check({1, 16, 112, 64}, NativeBlockedLayout(),
        {{Conv(16, 96, 1, 1, 0, 3), "direct"},
         {Depthwise(96, 3, 2, 4), "depthwise"},
         {Conv(96, 24, 1, 1, 0, 5), "direct"}},
        false, 1 << 16);
}

TEST(RowChain, FirstConvolutionAndPool) {
  std::mt19937 random(12);
  for (int round = 0; round < 30; ++round) {
    const auto pick = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random() % static_cast<uint32_t>(high - low + 1));
    };
    const int64_t kernel = pick(0, 1) ? 3 : 7, stride = pick(1, 2), window = pick(2, 3), step = pick(1, 4);
    const int64_t oc = pick(8, 40);
    Check(
        {pick(1, 2), 3, pick(20, 70), pick(64, 90)}, Layout::kPlain,
        {{Conv(3, oc, kernel, stride, kernel / 2, 3), "direct"}, {MaxPool(window, step, window / 2), "simd"}},
        false, pick(0, 3) == 0 ? 0 : pick(1, 40) * 4096);
  }
}

// Padded and with strides, where what lies between goes through scratch again.
TEST(RowChain, ConvolutionsBehindEachOther) {
  const Layout blocked = NativeBlockedLayout();
  for (int64_t stride : {1, 2}) {
    Check({1, 24, 40, 62}, blocked,
          {{Conv(24, 40, 3, stride, 1, 3), "direct"},
           {Conv(40, 40, 3, 1, 1, 4), "direct"},
           {Conv(40, 16, 1, 1, 0, 5), "direct"},
           {MaxPool(3, 2, 1), "simd"}},
          false, 1 << 15);
  }
}

}  // namespace
}  // namespace sluice::test
