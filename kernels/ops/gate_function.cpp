#include "kernels/ops/gate_function.h"

#include <cctype>
#include <cmath>

#include "sluice/error.h"

namespace sluice {
namespace {

using Kind = GateFunction::Kind;

struct Entry {
  const char* name;
  Kind kind;
  bool takes_alpha, takes_beta;
  float alpha, beta;
};

constexpr Entry kEntries[] = {
    {"relu", Kind::kRelu, false, false, 0, 0},
    {"tanh", Kind::kTanh, false, false, 0, 0},
    {"sigmoid", Kind::kSigmoid, false, false, 0, 0},
    {"affine", Kind::kAffine, true, true, 1, 0},
    {"leakyrelu", Kind::kLeakyRelu, true, false, 0.01f, 0},
    {"thresholdedrelu", Kind::kThresholdedRelu, true, false, 1, 0},
    {"scaledtanh", Kind::kScaledTanh, true, true, 1, 1},
    {"hardsigmoid", Kind::kHardSigmoid, true, true, 0.2f, 0.5f},
    {"elu", Kind::kElu, true, false, 1, 0},
    {"softsign", Kind::kSoftsign, false, false, 0, 0},
    {"softplus", Kind::kSoftplus, false, false, 0, 0},
};

}  // namespace

GateFunction::GateFunction(const std::string& name) {
  std::string lower;
  for (char c : name) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Entry& entry : kEntries) {
    if (lower != entry.name) continue;
    kind_ = entry.kind;
    takes_alpha_ = entry.takes_alpha;
    takes_beta_ = entry.takes_beta;
    alpha_ = entry.alpha;
    beta_ = entry.beta;
    return;
  }
  throw Error(ErrorCode::kInvalidModel, "activations has '" + name + "', which is none of the standard's");
}

template <typename Sum>
void GateFunction::Apply(Sum* x, int64_t n) const {
  const auto each = [x, n](auto fn) {
    for (int64_t i = 0; i < n; ++i) x[i] = fn(x[i]);
  };
  const Sum a = alpha_, b = beta_;
  switch (kind_) {
    case Kind::kRelu:
      return each([](Sum v) { return v < 0 ? Sum(0) : v; });
    case Kind::kTanh:
      return each([](Sum v) { return std::tanh(v); });
    case Kind::kSigmoid:
      return each([](Sum v) {
        // exp of a negative number only: no overflow.
        const Sum e = std::exp(-std::abs(v));
        return v >= 0 ? 1 / (1 + e) : e / (1 + e);
      });
    case Kind::kAffine:
      return each([a, b](Sum v) { return a * v + b; });
    case Kind::kLeakyRelu:
      return each([a](Sum v) { return v >= 0 ? v : a * v; });
    case Kind::kThresholdedRelu:
      return each([a](Sum v) { return v >= a ? v : Sum(0); });
    case Kind::kScaledTanh:
      return each([a, b](Sum v) { return a * std::tanh(b * v); });
    case Kind::kHardSigmoid:
      return each([a, b](Sum v) { return std::clamp(a * v + b, Sum(0), Sum(1)); });
    case Kind::kElu:
      return each([a](Sum v) { return v >= 0 ? v : a * std::expm1(v); });
    case Kind::kSoftsign:
      return each([](Sum v) { return v / (1 + std::abs(v)); });
    case Kind::kSoftplus:
      return each([](Sum v) { return std::max(v, Sum(0)) + std::log1p(std::exp(-std::abs(v))); });
  }
}

template void GateFunction::Apply<float>(float*, int64_t) const;
template void GateFunction::Apply<double>(double*, int64_t) const;

std::vector<GateFunction> ReadGateFunctions(const Attributes& attrs, size_t directions,
                                            std::vector<std::string> defaults) {
  const size_t wanted = directions * defaults.size();
  std::vector<std::string> names = attrs.Strings("activations", {});
  if (names.empty()) {
    for (size_t i = 0; i < directions; ++i) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  // RNN's default, stated, has two names for one direction too.
  if (names.size() < wanted) {
    throw Error(ErrorCode::kInvalidModel, "activations has " + std::to_string(names.size()) +
                                              " names, expected " + std::to_string(wanted));
  }
  const std::vector<float> alphas = attrs.Floats("activation_alpha", std::vector<float>());
  const std::vector<float> betas = attrs.Floats("activation_beta", std::vector<float>());
  size_t alpha = 0, beta = 0;
  std::vector<GateFunction> functions;
  for (size_t i = 0; i < wanted; ++i) {
    GateFunction function(names[i]);
    if (function.takes_alpha_ && alpha < alphas.size()) function.alpha_ = alphas[alpha++];
    if (function.takes_beta_ && beta < betas.size()) function.beta_ = betas[beta++];
    functions.push_back(function);
  }
  return functions;
}

}  // namespace sluice
