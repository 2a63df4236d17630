// Sections that neither pjreddie's Darknet nor OpenCV knows, or knows in part, against scalar references;
// tests/cross_check/darknet_check.py compares the others with those two.
#include <algorithm>

#include "tests/graph/darknet/net_test_util.h"

namespace sluice::test {
namespace {

struct ConvolutionKeys {
  int64_t size = 1, stride_x = 1, stride_y = 1, pad = 0, groups = 1, dilation = 1;
};

Maps Convolve(const Maps& x, const std::vector<float>& weights, const std::vector<float>& bias,
              const ConvolutionKeys& k) {
  const auto filters = static_cast<int64_t>(bias.size()), span = k.dilation * (k.size - 1) + 1;
  Maps y(filters, (x.h + 2 * k.pad - span) / k.stride_y + 1, (x.w + 2 * k.pad - span) / k.stride_x + 1);
  const int64_t ic = x.c / k.groups, oc = filters / k.groups;
  for (int64_t o = 0; o < filters; ++o) {
    for (int64_t row = 0; row < y.h; ++row) {
      for (int64_t column = 0; column < y.w; ++column) {
        double sum = bias[static_cast<size_t>(o)];
        for (int64_t i = 0; i < ic * k.size * k.size; ++i) {
          const int64_t at_y = row * k.stride_y - k.pad + i / k.size % k.size * k.dilation;
          const int64_t at_x = column * k.stride_x - k.pad + i % k.size * k.dilation;
          if (!x.has(at_y, at_x)) continue;
          sum += static_cast<double>(weights[static_cast<size_t>(o * ic * k.size * k.size + i)]) *
                 x.at(o / oc * ic + i / (k.size * k.size), at_y, at_x);
        }
        y.at(o, row, column) = static_cast<float>(sum);
      }
    }
  }
  return y;
}

Maps Blurred(const Maps& x, const std::vector<float>& kernel, int64_t size, int64_t pad, int64_t stride) {
  std::vector<float> weights;
  for (int64_t c = 0; c < x.c; ++c) weights.insert(weights.end(), kernel.begin(), kernel.end());
  return Convolve(x, weights, std::vector<float>(static_cast<size_t>(x.c)), {size, stride, stride, pad, x.c});
}
const std::vector<float> kBinomial = {1 / 16.f, 2 / 16.f, 1 / 16.f, 2 / 16.f, 4 / 16.f,
                                      2 / 16.f, 1 / 16.f, 2 / 16.f, 1 / 16.f};
const std::vector<float> kEven(4, 0.25f);

TEST(DarknetLayers, ConvolutionWithUnequalStridesDilationAndGroups) {
  TestNet net(4, 12, 11);
  const auto bias = net.Weights(6), weights = net.Weights(6 * 2 * 9);
  net.Add("convolutional",
          "filters=6 size=3 pad=1 stride_x=2 stride_y=1 dilation=2 groups=2 activation=linear");
  ExpectNear(net.Run(), Convolve(net.x, weights, bias, {3, 2, 1, 2, 2, 2}).values);
}

// Each pixel adds a window of every filter; weights are stored by input channel, then filter.
TEST(DarknetLayers, Deconvolution) {
  struct Case {
    int64_t size, stride, pad;
    bool normalized;
  };
  for (const Case& k :
       {Case{2, 2, 0, false}, Case{4, 2, 1, true}, Case{3, 1, 1, true}, Case{5, 3, 0, false}}) {
    TestNet net(3, 5, 4);
    const auto bias = net.Weights(2);
    std::vector<float> scale(2, 1), mean(2, 0), variance(2, 1 - 1e-5f);
    if (k.normalized) {
      scale = net.Weights(2, 1, 0.2f);
      mean = net.Weights(2);
      variance = net.Append({0.5f, 2});
    }
    const auto weights = net.Weights(static_cast<size_t>(3 * 2 * k.size * k.size));
    net.Add("deconvolutional", "filters=2 activation=leaky size=" + std::to_string(k.size) +
                                   " stride=" + std::to_string(k.stride) + " pad=" + std::to_string(k.pad) +
                                   " batch_normalize=" + std::to_string(k.normalized));
    const int64_t around = k.pad * (k.size / 2);
    Maps want(2, 4 * k.stride + k.size - 2 * around, 3 * k.stride + k.size - 2 * around);
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto at = static_cast<int64_t>(i), square = k.size * k.size;
      const int64_t from = at / (2 * square), to = at / square % 2;
      for (int64_t j = 0; j < 20; ++j) {
        const int64_t y = j / 4 * k.stride + at / k.size % k.size - around,
                      x = j % 4 * k.stride + at % k.size - around;
        if (want.has(y, x)) want.at(to, y, x) += weights[i] * net.x.at(from, j / 4, j % 4);
      }
    }
    for (size_t i = 0; i < want.values.size(); ++i) {
      const size_t o = i * 2 / want.values.size();
      const double y = scale[o] * (want.values[i] - mean[o]) / std::sqrt(variance[o] + 1e-5) + bias[o];
      want.values[i] = static_cast<float>(y > 0 ? y : 0.1 * y);
    }
    for (const bool fold : {true, false}) {
      DarknetOptions options;
      options.fold = fold;
      ExpectNear(net.Run(options), want.values);
    }
  }
}

TEST(DarknetLayers, ConvolutionAndMaxPoolWithAntialiasing) {
  for (const int64_t kind : {1, 2}) {
    TestNet net(3, 9, 8);
    const auto bias = net.Weights(5), weights = net.Weights(5 * 3 * 9);
    const std::string key = " antialiasing=" + std::to_string(kind);
    net.Add("convolutional", "filters=5 size=3 pad=1 stride=2 activation=relu" + key);
    Maps y = Convolve(net.x, weights, bias, {3, 1, 1, 1});
    y = MapEach(y, [](double x) { return std::max(0.0, x); });
    ExpectNear(net.Run(), (kind == 1 ? Blurred(y, kBinomial, 3, 1, 2) : Blurred(y, kEven, 2, 0, 2)).values);

    TestNet pool(3, 9, 8);
    pool.Add("maxpool", "size=2 stride=2" + key);
    Maps largest(3, 9, 8);  // a window of 2, padded below and on the right
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t row = 0; row < 9; ++row) {
        for (int64_t column = 0; column < 8; ++column) {
          float most = pool.x.at(c, row, column);
          for (int64_t i = 0; i < 4; ++i) {
            if (pool.x.has(row + i / 2, column + i % 2))
              most = std::max(most, pool.x.at(c, row + i / 2, column + i % 2));
          }
          largest.at(c, row, column) = most;
        }
      }
    }
    ExpectNear(pool.Run(),
               (kind == 1 ? Blurred(largest, kBinomial, 3, 1, 2) : Blurred(largest, kEven, 2, 0, 2)).values);
  }
}

TEST(DarknetLayers, MaxPoolOverChannels) {
  TestNet net(6, 4, 5);
  net.Add("maxpool", "maxpool_depth=1 out_channels=2");
  Maps want(2, 4, 5);
  for (int64_t i = 0; i < 40; ++i) {
    const int64_t k = i / 20, row = i / 5 % 4, column = i % 5;
    want.at(k, row, column) =
        std::max({net.x.at(k, row, column), net.x.at(k + 2, row, column), net.x.at(k + 4, row, column)});
  }
  ExpectNear(net.Run(), want.values);
}

TEST(DarknetLayers, LocalAveragePoolCountsPixelsOnly) {
  TestNet net(2, 5, 6);
  net.Add("local_avgpool", "size=3 stride=2");
  Maps want(2, 3, 3);  // (5 + 2 - 3) / 2 + 1, (6 + 2 - 3) / 2 + 1
  for (int64_t i = 0; i < 18; ++i) {
    const int64_t k = i / 9, row = i / 3 % 3, column = i % 3;
    double sum = 0;
    int count = 0;
    for (int64_t j = 0; j < 9; ++j) {
      const int64_t y = 2 * row - 1 + j / 3, x = 2 * column - 1 + j % 3;
      if (!net.x.has(y, x)) continue;
      sum += net.x.at(k, y, x);
      ++count;
    }
    want.at(k, row, column) = static_cast<float>(sum / count);
  }
  ExpectNear(net.Run(), want.values);
}

// y = w0 x + w1 a + w2 b, with one weight an input or one a channel of each.
TEST(DarknetLayers, ShortcutWithWeights) {
  for (const bool per_channel : {false, true}) {
    for (const char* normalization : {"none", "relu", "softmax"}) {
      TestNet net(3, 4, 5);
      const auto bias_a = net.Weights(3), weights_a = net.Weights(9);
      const auto bias_b = net.Weights(3), weights_b = net.Weights(9);
      const auto bias_x = net.Weights(3), weights_x = net.Weights(9);
      for (int i = 0; i < 3; ++i) net.Add("convolutional", "filters=3 size=1 activation=linear");
      const size_t channels = per_channel ? 3 : 1;
      const auto w = net.Weights(3 * channels, 0.3f);
      net.Add("shortcut", std::string("from=0,-2 activation=leaky weights_type=") +
                              (per_channel ? "per_channel" : "per_feature") +
                              " weights_normalization=" + normalization);
      const Maps a = Convolve(net.x, weights_a, bias_a, {}), b = Convolve(a, weights_b, bias_b, {});
      const Maps x = Convolve(b, weights_x, bias_x, {});
      std::vector<float> want(x.values.size());
      for (size_t i = 0; i < want.size(); ++i) {
        double part[3], sum = 1e-4, most = -1e30;
        for (size_t j = 0; j < 3; ++j) {
          part[j] = w[j * channels + (per_channel ? i / 20 : 0)];
          most = std::max(most, part[j]);
        }
        const std::string name = normalization;
        for (double& value : part) {
          if (name == "relu") value = std::max(0.0, value);
          if (name == "softmax") value = std::exp(value - most);
          sum += value;
        }
        if (name == "none") sum = 1;
        const double y = (part[0] * x.values[i] + part[1] * a.values[i] + part[2] * b.values[i]) / sum;
        want[i] = static_cast<float>(y > 0 ? y : 0.1 * y);
      }
      ExpectNear(net.Run(), want);
    }
  }
}

TEST(DarknetLayers, Reorg3d) {
  TestNet forward(3, 4, 6);
  forward.Add("reorg3d", "stride=2");
  Maps want(12, 2, 3);
  for (int64_t i = 0; i < 72; ++i) {
    const int64_t k = i / 6, row = i / 3 % 2, column = i % 3, offset = k / 3;
    want.at(k, row, column) = forward.x.at(k % 3, 2 * row + offset / 2, 2 * column + offset % 2);
  }
  ExpectNear(forward.Run(), want.values);

  // The input counts as [4, 4, 6]; each of its channels goes to every second place of a picture [1, 8, 12],
  // whose elements count as [4, 4, 6] again.
  TestNet reverse(16, 2, 3);
  reverse.Add("reorg3d", "stride=2 reverse=1");
  std::vector<float> moved(96);
  for (int64_t i = 0; i < 96; ++i) {
    const int64_t k = i / 24, row = i / 6 % 4, column = i % 6;
    moved[static_cast<size_t>((2 * row + k / 2) * 12 + 2 * column + k % 2)] =
        reverse.x.values[static_cast<size_t>(i)];
  }
  ExpectNear(reverse.Run(), moved);
}

TEST(DarknetLayers, SpatialSoftmaxIsOverChannels) {
  for (const int64_t opset : {9, 13}) {
    TestNet net(4, 2, 3);
    net.Add("softmax", "spatial=1 temperature=2");
    Maps want(4, 2, 3);
    for (int64_t i = 0; i < 6; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < 4; ++k) sum += std::exp(net.x.at(k, i / 3, i % 3) / 2.0);
      for (int64_t k = 0; k < 4; ++k)
        want.at(k, i / 3, i % 3) = static_cast<float>(std::exp(net.x.at(k, i / 3, i % 3) / 2.0) / sum);
    }
    DarknetOptions options;
    options.opset = opset;
    ExpectNear(net.Run(options), want.values);
  }
}

TEST(DarknetLayers, BatchNorm) {
  TestNet net(3, 4, 5);
  const auto bias = net.Weights(3), scale = net.Weights(3), mean = net.Weights(3);
  const auto variance = net.Weights(3, 2, 0.3f);
  net.Add("batchnorm");
  std::vector<float> want = net.x.values;
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t c = i / 20;
    want[i] = scale[c] * (want[i] - mean[c]) / std::sqrt(variance[c] + 1e-5f) + bias[c];
  }
  ExpectNear(net.Run(), want);
}

TEST(DarknetLayers, Activations) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const std::map<std::string, std::function<double(double)>> activations = {
      {"relu6", [](double x) { return std::clamp(x, 0.0, 6.0); }},
      {"revleaky", [](double x) { return x > 0 ? x : 0.1 * x; }},
      {"swish", [&](double x) { return x * sigmoid(x); }},
      {"mish", [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }},
      {"hard_mish", [](double x) { return x > 0    ? x
                                          : x > -2 ? x * x / 2 + x
                                                   : 0; }},
      {"gelu", [](double x) { return 0.5 * x * (1 + std::tanh(0.797885 * x + 0.035677 * x * x * x)); }},
      {"selu", [](double x) { return 1.0507 * (x >= 0 ? x : 1.6732 * (std::exp(x) - 1)); }},
      {"stair",
       [](double x) {
         return std::floor(x / 2) + (std::fmod(std::floor(x), 2) != 0 ? x - std::floor(x) : 0);
       }},
      {"lhtan", [](double x) { return x < 0   ? 0.001 * x
                                      : x > 1 ? 0.001 * (x - 1) + 1
                                              : x; }},
      {"plse",
       [](double x) { return x < -4  ? 0.01 * (x + 4)
                             : x > 4 ? 0.01 * (x - 4) + 1
                                     : 0.125 * x + 0.5; }},
  };
  for (const auto& [name, function] : activations) {
    for (const int64_t opset : {9, 13, 20}) {
      TestNet net(2, 7, 9);
      for (float& value : net.x.values) value *= 4;
      net.Add("activation", "activation=" + name);
      DarknetOptions options;
      options.opset = opset;
      SCOPED_TRACE(name);
      ExpectNear(net.Run(options), MapEach(net.x, function).values);
    }
  }
}

TEST(DarknetLayers, ActivationsOverChannels) {
  for (const std::string name :
       {"normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval"}) {
    TestNet net(5, 3, 4);
    net.Add("activation", "activation=" + name);
    Maps want = net.x;
    for (int64_t i = 0; i < 12; ++i) {
      double most = 0, sum = 1e-4;
      if (name.ends_with("maxval")) {
        for (int64_t k = 0; k < 5; ++k)
          most = k == 0 ? net.x.at(k, i / 4, i % 4) : std::max<double>(most, net.x.at(k, i / 4, i % 4));
      }
      const auto part = [&](int64_t k) {
        const double x = net.x.at(k, i / 4, i % 4);
        return name == "normalize_channels" ? std::max(0.0, x) : std::exp(x - most);
      };
      for (int64_t k = 0; k < 5; ++k) sum += part(k);
      for (int64_t k = 0; k < 5; ++k) want.at(k, i / 4, i % 4) = static_cast<float>(part(k) / sum);
    }
    SCOPED_TRACE(name);
    ExpectNear(net.Run(), want.values);
  }
}

TEST(DarknetLayers, YoloScalesItsCentresAndLeavesNewCoordinatesAlone) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (const bool new_coords : {false, true}) {
    TestNet net(14, 2, 3);
    net.Add("yolo", std::string("mask=0,1 anchors=1,2,3,4 num=2 classes=2 scale_x_y=1.2 new_coords=") +
                        (new_coords ? "1" : "0"));
    Maps want = net.x;
    for (int64_t k = 0; k < 14; ++k) {
      for (int64_t i = 0; i < 6; ++i) {
        float& value = want.at(k, i / 3, i % 3);
        const int64_t entry = k % 7;
        if (!new_coords && entry != 2 && entry != 3) value = static_cast<float>(sigmoid(value));
        if (entry < 2) value = 1.2f * value - 0.1f;
      }
    }
    ExpectNear(net.Run(), want.values);
  }
}

TEST(DarknetLayers, ScaleChannelsByPosition) {
  TestNet net(3, 4, 5);
  const auto bias = net.Weights(1), weights = net.Weights(3);
  net.Add("activation", "activation=linear").Add("convolutional", "filters=1 size=1 activation=linear");
  net.Add("scale_channels", "from=0 scale_wh=1 activation=relu");
  const Maps factors = Convolve(net.x, weights, bias, {});
  Maps want = net.x;
  for (size_t i = 0; i < want.values.size(); ++i)
    want.values[i] = std::max(0.0f, want.values[i] * factors.values[i % 20]);
  ExpectNear(net.Run(), want.values);
}

// AlexeyAB's version writes revision 5 and other orders of the gates.
TEST(DarknetLayers, GatesFollowTheVersionThatWroteTheFile) {
  struct Kind {
    const char* name;
    bool state_first;            // in AlexeyAB's order
    std::vector<size_t> alexey;  // which of pjreddie's gates stands where
  };
  for (const Kind& kind : {Kind{"gru", false, {0, 1, 2}}, Kind{"lstm", true, {1, 0, 3, 2}}}) {
    TestNet theirs(5), ours(5);
    const size_t gates = kind.alexey.size();
    std::vector<std::vector<float>> of_state, of_input;
    for (size_t i = 0; i < gates; ++i) of_state.push_back(theirs.Normal(4 + 4 * 4));
    for (size_t i = 0; i < gates; ++i) of_input.push_back(theirs.Normal(4 + 4 * 5));
    for (const auto& gate : of_state) theirs.Append(gate);
    for (const auto& gate : of_input) theirs.Append(gate);
    if (!kind.state_first) {
      for (size_t i : kind.alexey) ours.Append(of_input[i]);
    }
    for (size_t i : kind.alexey) ours.Append(of_state[i]);
    if (kind.state_first) {
      for (size_t i : kind.alexey) ours.Append(of_input[i]);
    }
    theirs.Add(kind.name, "output=4");
    ours.Add(kind.name, "output=4");
    SCOPED_TRACE(kind.name);
    ExpectNear(ours.Run({}, 5), theirs.Run({}, 0));
  }
}

}  // namespace
}  // namespace sluice::test
