#include <dirent.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "kernels/parallel.h"
#include "tests/kernels/ops/conv_reference.h"

namespace sluice::test {
namespace {

using Kind = PostOp::Kind;

double Largest(const std::vector<double>& values) {
  double largest = 0;
  for (double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

// Runs every candidate that takes the case and compares.
void CheckCase(const ConvCase& c, uint32_t seed, std::vector<PostOp> post_ops = {},
               std::vector<Tensor> operands = {}) {
  OpCase op{.op = "Conv", .opset = 22, .attrs = c.attrs()};
  const Tensor src = Random(c.src_shape(), seed), weights = Random(c.weights_shape(), seed + 1);
  const Tensor bias = c.bias ? Random({c.oc}, seed + 2) : Tensor();
  op.inputs = {src, weights, bias};
  for (const Tensor& operand : operands) op.inputs.push_back(operand);
  Node node = MakeNode(op);
  node.post_ops = std::move(post_ops);
  const Shape shape = ConvCase::With({c.n, c.oc}, c.out());
  std::vector<double> want = c.Reference<float>(src, weights, bias);
  double largest = Largest(want);
  ApplyPostOps(node, op.inputs, shape, want);
  largest = std::max(largest, Largest(want));
  const Tensor expected = FloatTensor(shape, want);
  const Tolerance tolerance = SumTolerance(DataType::kFloat, c.reduction(), 4);
  int ran = 0;
  for (size_t candidate = 0; candidate < node.op->kernels.size(); ++candidate) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " candidate " + std::to_string(candidate) + " " + c.Describe() +
                 (node.post_ops.empty() ? "" : " " + ToString(node.post_ops[0])));
    try {
      const std::vector<Value> got = EvaluateWith(candidate, node, op.inputs);
      // Winograd's error is one of the whole tensor: its kernels, the first two, state this bound.
      const double atol = candidate < 2 ? std::max(tolerance.atol, 5e-5 * largest) : tolerance.atol;
      ExpectTensor(got[0], expected, atol, 1e-5);
      ++ran;
    } catch (const Declined&) {
    }
  }
  EXPECT_GT(ran, 0) << c.Describe();
}

TEST(Conv, MatchesTheStandardsExample) {
  Tensor x(DataType::kFloat, {1, 1, 5, 5});
  for (int i = 0; i < 25; ++i) x.mutable_values<float>()[static_cast<size_t>(i)] = static_cast<float>(i);
  const Tensor w = F({1, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1});
  ExpectTensor(RunOp({"Conv", 11, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"strides", std::vector<int64_t>{2, 2}}},
                      {x, w}})[0],
               F({1, 1, 3, 3}, {12, 27, 24, 63, 108, 81, 72, 117, 84}));
  ExpectTensor(RunOp({"Conv", 1, {}, {x, w}})[0], F({1, 1, 3, 3}, {54, 63, 72, 99, 108, 117, 144, 153, 162}));
}

TEST(Conv, AutoPad) {
  const Tensor x = F({1, 1, 4}, {1, 2, 3, 4}), w = F({1, 1, 2}, {1, 10});
  const auto run = [&](const char* pad) {
    return RunOp({"Conv", 22, {{"auto_pad", std::string(pad)}}, {x, w}})[0];
  };
  ExpectTensor(run("SAME_UPPER"), F({1, 1, 4}, {21, 32, 43, 4}));
  ExpectTensor(run("SAME_LOWER"), F({1, 1, 4}, {10, 21, 32, 43}));
  ExpectTensor(run("VALID"), F({1, 1, 3}, {21, 32, 43}));
  ExpectTensor(run("NOTSET"), F({1, 1, 3}, {21, 32, 43}));
}

TEST(Conv, RandomShapes) {
  std::mt19937 engine(20240611);
  for (uint32_t i = 0; i < 240 && !testing::Test::HasFailure(); ++i) CheckCase(DrawConv(engine), 1000 + 7 * i);
}

// Large enough to be cut into tiles of every kind.
TEST(Conv, TiledShapes) {
  const auto conv = [](int64_t n, int64_t groups, int64_t ic, int64_t oc, std::vector<int64_t> in, int64_t k,
                       int64_t stride, int64_t pad) {
    const size_t axes = in.size();
    return ConvCase{n, groups, ic, oc, in, std::vector<int64_t>(axes, k), std::vector<int64_t>(axes, stride),
                    std::vector<int64_t>(axes, 1), std::vector<int64_t>(2 * axes, pad), true};
  };
  CheckCase(conv(1, 1, 64, 200, {14, 14}, 3, 1, 1), 1);      // ranges of channels with a tail
  CheckCase(conv(1, 1, 20, 40, {50, 40}, 3, 1, 1), 2);       // bands
  CheckCase(conv(1, 1, 3, 16, {161, 160}, 3, 2, 1), 3);      // bands of a plain input
  CheckCase(conv(1, 1, 20, 9, {60, 61}, 5, 2, 2), 4);        // bands, one block of channels
  CheckCase(conv(5, 1, 24, 40, {20, 20}, 3, 1, 1), 5);       // images
  CheckCase(conv(2, 1, 32, 130, {20, 20}, 3, 1, 1), 6);      // images and channels
  CheckCase(conv(1, 200, 200, 200, {60, 60}, 5, 1, 2), 7);   // depthwise, in bands
  CheckCase(conv(2, 150, 150, 150, {17, 15}, 3, 2, 1), 17);  // in ranges of channels, with a tail
  CheckCase(conv(1, 40, 40, 40, {31, 30}, 3, 1, 1), 18,
            {{.kind = Kind::kAdd, .operand = 3}, {Kind::kClip, 0, 6}, {Kind::kSigmoid}}, {Random({1, 40, 31, 30}, 73)});
  CheckCase(conv(1, 1, 32, 40, {31, 30}, 1, 1, 0), 19,
            {{Kind::kClip, 1, 6}, {.kind = Kind::kAdd, .operand = 3}, {Kind::kLeakyRelu, 1.5f}},
            {Random({1, 40, 31, 30}, 72)});
  CheckCase(conv(1, 4, 64, 128, {30, 30}, 3, 1, 1), 8);      // groups of whole blocks
  CheckCase(conv(1, 4, 24, 24, {80, 80}, 3, 1, 1), 9);       // groups that are not
  CheckCase(conv(1, 1, 20, 40, {4000}, 9, 1, 4), 10);        // one axis
  CheckCase(conv(1, 1, 8, 24, {12, 20, 20}, 3, 1, 1), 11);   // three axes
  CheckCase({1, 1, 40, 72, {700}, {11}, {1}, {5}, {25, 25}, true}, 14);   // dilated
  CheckCase({3, 2, 64, 96, {300}, {7}, {1}, {3}, {0, 18}, true}, 15);     // groups of whole blocks
  CheckCase({12, 1, 33, 40, {5}, {3}, {1}, {1}, {1, 1}, false}, 16);      // short rows
  for (int64_t oc = 1; oc <= 5; ++oc) {                        // dot products, but for 5
    CheckCase(conv(2, 1, 64, oc, {21, 30}, 3, 1, 1), 20);
    CheckCase(conv(1, 1, 40, oc, {903}, 7, 1, 3), 21);
    CheckCase(conv(2, 1, 70, oc, {5, 4}, 3, 1, 1), 22, {{Kind::kTanh}, {Kind::kMish}, {.kind = Kind::kAdd, .operand = 3}},
              {Random({2, oc, 5, 4}, 76)});
    CheckCase(conv(2, 1, 70, oc, {5, 24}, 3, 1, 1), 23,
              {{.kind = Kind::kAdd, .operand = 3}, {.kind = Kind::kPRelu, .operand = 4}},
              {Random({2, oc, 5, 24}, 75), Random({oc, 1, 1}, 74)});
  }
  CheckCase(conv(1, 1, 300, 80, {28, 27}, 1, 1, 0), 37);     // flat runs, chunks of input channels
  CheckCase(conv(3, 1, 70, 90, {7, 7}, 3, 1, 1), 38);        // two lines a run, an odd line left
  CheckCase(conv(2, 1, 300, 70, {9, 8}, 4, 2, 1), 39);       // the same with a stride and chunks
  CheckCase(conv(1, 1, 4, 36, {40, 41}, 7, 2, 3), 40);       // few channels, taps side by side
  CheckCase(conv(2, 1, 70, 40, {30, 31}, 1, 2, 0), 41);      // 1x1 with a stride
  const Tensor residual = Random({1, 40, 50, 40}, 77);
  CheckCase(conv(1, 1, 20, 40, {50, 40}, 3, 1, 1), 12,
            {{Kind::kLeakyRelu, 0.1f}, {.kind = Kind::kAdd, .operand = 3}, {Kind::kRelu}}, {residual});
  const Tensor wide = Random({1, 200, 14, 14}, 78), channels = Random({200, 1, 1}, 79);
  CheckCase(conv(1, 1, 64, 200, {14, 14}, 3, 1, 1), 13,
            {{.kind = Kind::kMul, .operand = 3}, {.kind = Kind::kAdd, .operand = 4}}, {channels, wide});
}

TEST(Conv, WeightsThatAreNoConstants) {
  // The evaluator shows all inputs as constants; Prepare must also work without.
  ConvCase c{1, 1, 20, 150, {20, 20}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true};
  const Tensor src = Random(c.src_shape(), 1), weights = Random(c.weights_shape(), 2), bias = Random({c.oc}, 3);
  const Node node = MakeNode({.op = "Conv", .opset = 11, .attrs = c.attrs(), .inputs = {src, weights, bias}});
  const Shape shape = {1, 150, 20, 20};
  const PreparedStep step = PrepareKernel(node, [&] {
    return PrepareContext(node, {{DataType::kFloat, src.shape()}, {DataType::kFloat, weights.shape()}, {DataType::kFloat, bias.shape()}},
                          {nullptr, nullptr, nullptr}, {{DataType::kFloat, shape}}, {true}, {});
  });
  EXPECT_GT(step.request.scratch_bytes, 150 * 20 * 9 * 4 / 4);
  ASSERT_EQ(step.declined.size(), 5u);
  EXPECT_NE(step.declined[3].find("direct: weights are not constant"), std::string::npos) << step.declined[3];
  EXPECT_NE(step.declined[0].find("winograd"), std::string::npos) << step.declined[0];
}

TEST(Conv, EveryPostOp) {
  const ConvCase c{2, 1, 17, 19, {9, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true};
  const Tensor full = Random({2, 19, 9, 8}, 5), channel = Random({19, 1, 1}, 6), scalar = F({1}, {-1.5f});
  const Tensor column = Random({9, 1}, 7), image = Random({2, 19, 1, 1}, 8);
  const std::vector<PostOp> unary = {
      {Kind::kLeakyRelu, 0.1f}, {Kind::kRelu}, {Kind::kClip, -0.5f, 3}, {Kind::kSigmoid}, {Kind::kSilu, 1},
      {Kind::kSilu, 1.702f}, {Kind::kHardSigmoid, 0.2f, 0.5f}, {Kind::kHardSwish, 1.0f / 6, 0.5f},
      {Kind::kHardSwish, 0.25f, 0.5f}, {Kind::kTanh}, {Kind::kElu, 0.7f}, {Kind::kMish}, {Kind::kGeluErf},
      {Kind::kGeluTanh}, {Kind::kLinear, 2, -3}, {Kind::kAbs}, {Kind::kSquare}};
  for (const PostOp& op : unary) CheckCase(c, 30, {op});
  CheckCase(c, 31, {{Kind::kLinear, 0.05f, 0}, {Kind::kExp}});
  CheckCase(c, 31, {{Kind::kAbs}, {Kind::kSqrt}});
  for (const Tensor& operand : {full, channel, scalar, column, image}) {
    for (Kind kind : {Kind::kAdd, Kind::kMul, Kind::kPRelu}) {
      CheckCase(c, 32, {{.kind = kind, .operand = 3}}, {operand});
      CheckCase(c, 33, {{Kind::kLeakyRelu, 0.3f}, {.kind = kind, .operand = 3}, {Kind::kTanh}}, {operand});
    }
  }
}

TEST(Conv, OtherFloatTypes) {
  const ConvCase c{2, 2, 6, 4, {7, 6}, {3, 2}, {1, 2}, {1, 1}, {1, 0, 1, 1}, true};
  const Tensor src = Random(c.src_shape(), 1), weights = Random(c.weights_shape(), 2), bias = Random({4}, 3);
  const auto check = [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto cast = [](const Tensor& from) {
      Tensor to(kDataType<T>, from.shape());
      for (size_t i = 0; i < from.values<float>().size(); ++i) to.mutable_values<T>()[i] = static_cast<T>(from.values<float>()[i]);
      return to;
    };
    const Tensor x = cast(src), w = cast(weights), b = cast(bias);
    const std::vector<double> want = c.Reference<T>(x, w, b);
    const Tensor got = RunOp({"Conv", 22, c.attrs(), {x, w, b}})[0].tensor();
    const Tolerance tolerance = SumTolerance(kDataType<T>, c.reduction(), 4);
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(got.values<T>()[i]), want[i], tolerance.atol + tolerance.rtol * std::abs(want[i]));
    }
  };
  check(TypeTag<double>());
  check(TypeTag<Half>());
  check(TypeTag<BFloat16>());
}

TEST(Conv, EmptyTensors) {
  const Tensor none = Random({0, 2, 4, 4}, 1), weights = Random({3, 2, 3, 3}, 2);
  EXPECT_EQ(RunOp({"Conv", 11, {}, {none, weights}})[0].tensor().shape(), (Shape{0, 3, 2, 2}));
  // A sum over no channels is the bias.
  ExpectTensor(RunOp({"Conv", 11, {}, {Random({1, 0, 2, 2}, 1), Random({2, 0, 2, 2}, 2), F({2}, {3, 4})}})[0],
               F({1, 2, 1, 1}, {3, 4}));
}

TEST(Conv, Misuse) {
  const Tensor x = Random({1, 8, 5, 5}, 1);
  ExpectRefused({"Conv", 11, {{"group", int64_t{2}}}, {x, Random({4, 3, 3, 3}, 1)}},
                "Conv 'test': weights dimension 1 is 3, expected channels/group = 4");
  ExpectRefused({"Conv", 11, {{"group", int64_t{3}}}, {x, Random({3, 2, 3, 3}, 1)}}, "expected a multiple of group = 3");
  ExpectRefused({"Conv", 11, {{"group", int64_t{0}}}, {x, Random({3, 2, 3, 3}, 1)}}, "group is 0");
  ExpectRefused({"Conv", 11, {}, {x, Random({4, 8, 3}, 1)}}, "weights have rank 3, expected the input's 4");
  ExpectRefused({"Conv", 11, {}, {Random({8, 5}, 1), Random({4, 8}, 1)}}, "rank 2, expected at least 3");
  ExpectRefused({"Conv", 11, {}, {x, Random({4, 8, 6, 3}, 1)}}, "the window spans 6 positions");
  ExpectRefused({"Conv", 11, {{"strides", std::vector<int64_t>{0, 1}}}, {x, Random({4, 8, 3, 3}, 1)}}, "strides has the value 0");
  ExpectRefused({"Conv", 11, {{"pads", std::vector<int64_t>{0, 1}}}, {x, Random({4, 8, 3, 3}, 1)}}, "pads has 2 values, expected 4");
  ExpectRefused({"Conv", 11, {{"kernel_shape", std::vector<int64_t>{5, 5}}}, {x, Random({4, 8, 3, 3}, 1)}}, "kernel_shape is [5, 5]");
  ExpectRefused({"Conv", 11, {{"auto_pad", std::string("SAME")}}, {x, Random({4, 8, 3, 3}, 1)}}, "auto_pad is 'SAME'");
  ExpectRefused({"Conv", 11, {}, {x, Random({4, 8, 3, 3}, 1), Random({3}, 1)}}, "bias has 3 elements");
  ExpectRefused({"Conv", 11, {}, {x, Tensor(DataType::kDouble, {4, 8, 3, 3})}}, "input 1 is double, expected float");
}

int ThreadsOfProcess() {
  int count = 0;
  DIR* const folder = opendir("/proc/self/task");
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

void ExpectNoThreadsAndTheSameBits(const ConvCase& c) {
  const OpCase op{"Conv", 11, c.attrs(), {Random(c.src_shape(), 1), Random(c.weights_shape(), 2), Random({c.oc}, 3)}};
  tbb::task_arena arena(2);
  const auto busy = [&] {
    // All of the arena's own threads come to life first.
    arena.execute([] { tbb::parallel_for(0, 4000, [](int) { for (volatile int i = 0; i < 10000;) i = i + 1; }); });
  };
  busy();
  const int before = ThreadsOfProcess();
  Tensor first, second;
  arena.execute([&] { first = RunOp(op)[0].tensor(); });
  {
    const SerialScope serial;
    second = RunOp(op)[0].tensor();
  }
  EXPECT_LE(ThreadsOfProcess(), before);
  // And the bits do not depend on the number of threads.
  EXPECT_EQ(0, std::memcmp(first.data(), second.data(), static_cast<size_t>(first.byte_size())));
}

TEST(Conv, StartsNoThreads) {
  ExpectNoThreadsAndTheSameBits({1, 1, 64, 256, {26, 26}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true});
  ExpectNoThreadsAndTheSameBits({1, 1, 600, 264, {26, 26}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, true});
  ExpectNoThreadsAndTheSameBits({2, 1, 96, 140, {52, 52}, {4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true});
  ExpectNoThreadsAndTheSameBits({1, 1, 256, 512, {7, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true});
}

}  // namespace
}  // namespace sluice::test
