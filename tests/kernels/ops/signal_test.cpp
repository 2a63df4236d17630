#include <cmath>
#include <complex>
#include <numbers>

#include "tests/kernels/op_test_util.h"

namespace sluice::test {
namespace {

using C = std::complex<double>;

std::vector<C> Dft(const std::vector<C>& signal, bool inverse) {
  const auto n = static_cast<double>(signal.size());
  std::vector<C> result(signal.size());
  for (size_t k = 0; k < signal.size(); ++k) {
    for (size_t i = 0; i < signal.size(); ++i)
      result[k] += signal[i] * std::polar(1.0, (inverse ? 2 : -2) * std::numbers::pi *
                                                   static_cast<double>(i * k % signal.size()) / n);
    if (inverse) result[k] /= n;
  }
  return result;
}

TEST(Dft, AgreesWithTheSum) {
  std::mt19937 engine(3);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const int opset = engine() % 2 ? 17 : 20;
    const size_t rank = 2 + engine() % 3;
    const auto axis = static_cast<int64_t>(engine() % (rank - 1));
    const bool inverse = engine() % 2, onesided = engine() % 2;
    const int64_t parts = onesided ? (inverse ? 2 : 1) : static_cast<int64_t>(1 + engine() % 2);
    Shape in;
    for (size_t i = 0; i + 1 < rank; ++i) in.push_back(static_cast<int64_t>(engine() % 4));
    const auto size = static_cast<int64_t>(1 + engine() % 20);
    in[static_cast<size_t>(axis)] = size;
    in.push_back(parts);
    const bool given = engine() % 2;
    const int64_t n = given                 ? static_cast<int64_t>(1 + engine() % 24)
                      : inverse && onesided ? std::max<int64_t>(1, 2 * (size - 1))
                                            : size;
    Shape out = in;
    out.back() = inverse && onesided ? 1 : 2;
    out[static_cast<size_t>(axis)] = onesided && !inverse ? n / 2 + 1 : n;
    const Tensor x = Random(in, engine());
    Tensor want(DataType::kFloat, out);
    int64_t outer = 1, inner = 1;
    for (size_t i = 0; i + 1 < rank; ++i) {
      if (static_cast<int64_t>(i) != axis) (static_cast<int64_t>(i) < axis ? outer : inner) *= in[i];
    }
    for (int64_t line = 0; line < outer * inner; ++line) {
      const int64_t o = line / inner, i = line % inner;
      std::vector<C> signal(static_cast<size_t>(n));
      const int64_t used = onesided && inverse ? n / 2 + 1 : n;
      for (int64_t k = 0; k < std::min(size, used); ++k) {
        const float* at = x.values<float>().data() + ((o * size + k) * inner + i) * parts;
        signal[static_cast<size_t>(k)] = {at[0], parts == 2 ? at[1] : 0.0f};
      }
      if (onesided && inverse) {
        signal[0] = signal[0].real();
        for (int64_t k = 1; k <= n / 2; ++k) {
          const C c = signal[static_cast<size_t>(k)];
          if (2 * k == n)
            signal[static_cast<size_t>(k)] = c.real();
          else
            signal[static_cast<size_t>(n - k)] = std::conj(c);
        }
      }
      const std::vector<C> result = Dft(signal, inverse);
      for (int64_t k = 0; k < out[static_cast<size_t>(axis)]; ++k) {
        float* to = want.mutable_values<float>().data() +
                    ((o * out[static_cast<size_t>(axis)] + k) * inner + i) * out.back();
        to[0] = static_cast<float>(result[static_cast<size_t>(k)].real());
        if (out.back() == 2) to[1] = static_cast<float>(result[static_cast<size_t>(k)].imag());
      }
    }
    Attrs attrs = {{"inverse", int64_t{inverse}}, {"onesided", int64_t{onesided}}};
    std::vector<Value> inputs = {x, given ? Tensor::Scalar<int64_t>(n) : Tensor()};
    const int64_t spelt = engine() % 2 ? axis : axis - static_cast<int64_t>(rank);
    if (opset == 17)
      attrs["axis"] = spelt;
    else
      inputs.emplace_back(Tensor::Scalar<int64_t>(spelt));
    ExpectTensor(RunOp({"DFT", opset, attrs, inputs})[0], want, 1e-5, 1e-5);
  }
}

TEST(Dft, DefaultsDifferByVersion) {
  // Version 17 takes axis 1, version 20 the last but one.
  const Tensor x = F({1, 2, 2, 1}, {1, 2, 3, 4});
  ExpectTensor(RunOp({"DFT", 17, {}, {x}})[0], F({1, 2, 2, 2}, {4, 0, 6, 0, -2, 0, -2, 0}));
  ExpectTensor(RunOp({"DFT", 20, {}, {x}})[0], F({1, 2, 2, 2}, {3, 0, -1, 0, 7, 0, -1, 0}));
  ExpectTensor(RunOp({"DFT", 20, {}, {Make<Half>({2, 1}, {1, 2}), Tensor(), Tensor::Scalar<int64_t>(0)}})[0],
               Make<Half>({2, 2}, {3, 0, -1, 0}));
  ExpectTensor(RunOp({"DFT", 20, {}, {Make<double>({2, 1}, {1, 2})}})[0],
               Make<double>({2, 2}, {3, 0, -1, 0}));
}

TEST(Dft, Refuses) {
  const Tensor x = F({1, 2, 1}, {1, 2});
  ExpectRefused({"DFT", 17, {{"axis", int64_t{2}}}, {x}}, "real and imaginary parts");
  ExpectRefused({"DFT", 17, {{"axis", int64_t{3}}}, {x}}, "axis 3 is outside");
  ExpectRefused({"DFT", 17, {}, {F({1, 1, 3}, {1, 2, 3})}},
                "expected a last size of 1 (real) or 2 (complex)");
  ExpectRefused({"DFT", 17, {{"onesided", int64_t{1}}}, {F({1, 1, 2}, {1, 2})}}, "complex input");
  ExpectRefused({"DFT", 20, {{"onesided", int64_t{1}}, {"inverse", int64_t{1}}}, {x}}, "real input");
  ExpectRefused({"DFT", 17, {}, {x, I({}, {0})}}, "dft_length is 0");
  ExpectRefused({"DFT", 17, {}, {x, I({}, {INT64_MAX})}}, "expected 1 to 2^31");
  ExpectRefused({"DFT", 17, {}, {I({1, 1, 1}, {1})}}, "input of type int64");
}

TEST(Stft, TransformsEveryFrame) {
  std::mt19937 engine(4);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto batch = static_cast<int64_t>(engine() % 3), length = static_cast<int64_t>(8 + engine() % 40),
               frame = static_cast<int64_t>(1 + engine() % 8), step = static_cast<int64_t>(1 + engine() % 9);
    const bool onesided = engine() % 2;
    const int64_t parts = onesided ? static_cast<int64_t>(engine() % 2) : static_cast<int64_t>(engine() % 3);
    const bool windowed = engine() % 2;
    const Tensor x = Random(parts ? Shape{batch, length, parts} : Shape{batch, length}, engine());
    const Tensor window = Random({frame}, engine());
    const int64_t frames = (length - frame) / step + 1, bins = onesided ? frame / 2 + 1 : frame;
    Tensor want(DataType::kFloat, {batch, frames, bins, 2});
    for (int64_t f = 0; f < batch * frames; ++f) {
      std::vector<C> signal;
      for (int64_t i = 0; i < frame; ++i) {
        const int64_t at = f / frames * length + f % frames * step + i;
        const float* p = x.values<float>().data() + at * std::max<int64_t>(parts, 1);
        const C c = {p[0], parts == 2 ? p[1] : 0.0f};
        signal.push_back(windowed ? c * static_cast<double>(window.values<float>()[static_cast<size_t>(i)])
                                  : c);
      }
      const std::vector<C> result = Dft(signal, false);
      for (int64_t k = 0; k < bins; ++k) {
        const auto at = static_cast<size_t>((f * bins + k) * 2);
        want.mutable_values<float>()[at] = static_cast<float>(result[static_cast<size_t>(k)].real());
        want.mutable_values<float>()[at + 1] = static_cast<float>(result[static_cast<size_t>(k)].imag());
      }
    }
    std::vector<Value> inputs = {x, Tensor::Scalar<int64_t>(step), windowed ? window : Tensor()};
    if (!windowed || engine() % 2) inputs.emplace_back(Tensor::Scalar<int32_t>(static_cast<int32_t>(frame)));
    ExpectTensor(RunOp({"STFT", 17, {{"onesided", int64_t{onesided}}}, inputs})[0], want, 1e-5, 1e-5);
  }
}

TEST(Stft, Refuses) {
  const Tensor x = F({1, 2}, {1, 2}), one = Tensor::Scalar<int64_t>(1), three = Tensor::Scalar<int64_t>(3);
  ExpectRefused({"STFT", 17, {}, {x, one, Tensor(), three}}, "a frame of 3 is longer than the signal of 2");
  ExpectRefused({"STFT", 17, {}, {x, one, F({2}, {1, 1}), one}}, "the window has 2 elements");
  ExpectRefused({"STFT", 17, {}, {x, Tensor::Scalar<int64_t>(0), Tensor(), one}}, "frame_step is 0");
  ExpectRefused({"STFT", 17, {}, {F({1, 1, 2}, {1, 2}), one, Tensor(), one}}, "complex signal");
  ExpectRefused({"STFT", 17, {}, {F({2}, {1, 2}), one, Tensor(), one}}, "expected [batch, length]");
}

TEST(SignalWindows, AreTheFormulas) {
  struct Formula {
    const char* op;
    double (*at)(double);  // of 2 pi i / n
  };
  const Formula formulas[] = {
      {"HannWindow", [](double t) { return std::pow(std::sin(t / 2), 2); }},
      {"HammingWindow", [](double t) { return 25.0 / 46 - (1 - 25.0 / 46) * std::cos(t); }},
      {"BlackmanWindow", [](double t) { return 0.42 - 0.5 * std::cos(t) + 0.08 * std::cos(2 * t); }},
  };
  for (const Formula& formula : formulas) {
    for (const bool periodic : {true, false}) {
      for (int64_t size : {0, 2, 5, 10000}) {
        Tensor want(DataType::kFloat, {size});
        for (int64_t i = 0; i < size; ++i)
          want.mutable_values<float>()[static_cast<size_t>(i)] =
              static_cast<float>(formula.at(2 * std::numbers::pi * static_cast<double>(i) /
                                            static_cast<double>(periodic ? size : size - 1)));
        const Attrs attrs = {{"periodic", int64_t{periodic}}};
        ExpectTensor(RunOp({formula.op, 17, attrs, {Tensor::Scalar<int64_t>(size)}})[0], want);
      }
    }
    ExpectTensor(RunOp({formula.op, 17, {{"periodic", int64_t{0}}}, {Tensor::Scalar<int32_t>(1)}})[0],
                 F({1}, {1}));
    ExpectTensor(RunOp({formula.op, 17, {{"output_datatype", int64_t{11}}}, {I({}, {2})}})[0],
                 Make<double>({2}, {formula.at(0), 1}), 1e-12);
    ExpectRefused({formula.op, 17, {{"output_datatype", int64_t{8}}}, {I({}, {2})}}, "output_datatype is 8");
    ExpectRefused({formula.op, 17, {}, {I({}, {-1})}}, "size is -1");
    ExpectRefused({formula.op, 17, {}, {I({2}, {1, 1})}}, "size has 2 elements");
  }
}

TEST(SignalWindows, OfIntegersAreRoundedTowardsZero) {
  ExpectTensor(RunOp({"HannWindow", 17, {{"output_datatype", int64_t{7}}}, {I({}, {4})}})[0],
               I({4}, {0, 0, 1, 0}));
}

TEST(MelWeightMatrix, HasOneTriangleABand) {
  const auto run = [](int64_t bands, int64_t length, int64_t rate, float low, float high) {
    return RunOp({"MelWeightMatrix",
                  17,
                  {},
                  {Tensor::Scalar(bands), Tensor::Scalar(length), Tensor::Scalar(rate), Tensor::Scalar(low),
                   Tensor::Scalar(high)}})[0];
  };
  const Value got = run(8, 16, 8192, 0, 8192 / 2);
  ASSERT_EQ(got.tensor().shape(), (Shape{9, 8}));
  const auto values = got.tensor().values<float>();
  for (size_t band = 0; band < 8; ++band) {
    float sum = 0, most = 0;
    for (size_t bin = 0; bin < 9; ++bin) {
      sum += values[bin * 8 + band];
      most = std::max(most, values[bin * 8 + band]);
    }
    EXPECT_EQ(most, 1) << "band " << band;
    EXPECT_LE(sum, 2) << "band " << band;
  }
  try {
    run(8, 16, 4000, 0, 4096);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("beyond the spectrum of 9 bins"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace sluice::test
