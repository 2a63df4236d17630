#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/attributes.h"

namespace sluice {

// An activation function of the recurrent operators.
class GateFunction {
 public:
  enum class Kind : uint8_t {
    kRelu,
    kTanh,
    kSigmoid,
    kAffine,
    kLeakyRelu,
    kThresholdedRelu,
    kScaledTanh,
    kHardSigmoid,
    kElu,
    kSoftsign,
    kSoftplus,
  };

  GateFunction() = default;
  // By name, in any case, with the standard's default parameters. Throws Error{kInvalidModel} for others.
  explicit GateFunction(const std::string& name);

  // x[i] = f(x[i]) for i < n; Sum is float or double.
  template <typename Sum>
  void Apply(Sum* x, int64_t n) const;

 private:
  friend std::vector<GateFunction> ReadGateFunctions(const Attributes&, size_t, std::vector<std::string>);

  Kind kind_ = Kind::kTanh;
  bool takes_alpha_ = false, takes_beta_ = false;
  float alpha_ = 0, beta_ = 0;
};

// The functions of all `directions`, `defaults` for each where the node names none; the attributes
// activation_alpha and activation_beta go, in order, to those functions that have such a parameter.
// Throws Error{kInvalidModel}.
std::vector<GateFunction> ReadGateFunctions(const Attributes& attrs, size_t directions,
                                            std::vector<std::string> defaults);

}  // namespace sluice
