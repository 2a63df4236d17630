#include <array>
#include <cmath>

#include "kernels/dispatch.h"
#include "kernels/kernel.h"
#include "kernels/parallel.h"

// Adagrad, Adam, Momentum (ai.onnx.preview.training 1): one step of training for any number of tensors, each
// with a gradient and states. Inputs are the rate R, the number of steps so far T, then all tensors, all
// gradients, all first states and so on; outputs the new tensors and the new states. Float and double,
// computed in double.

namespace sluice {
namespace {

constexpr std::string_view kDomain = "ai.onnx.preview.training";

// A rule has kStates states a tensor; Start(rate, t) makes a step, whose call changes one element and its
// states.
struct Adagrad {
  static constexpr int kStates = 1;
  double decay, epsilon, norm;
  explicit Adagrad(const Attributes& attrs)
      : decay(static_cast<double>(attrs.Float("decay_factor", 0))),
        epsilon(static_cast<double>(attrs.Float("epsilon", 1e-6f))),
        norm(static_cast<double>(attrs.Float("norm_coefficient", 0))) {}

  auto Start(double rate, int64_t t) const {
    const double r = rate / (1 + static_cast<double>(t) * decay);
    return [r, *this](double& x, double gradient, std::array<double, kStates>& states) {
      const double g = norm * x + gradient;
      states[0] += g * g;
      x -= r * g / (std::sqrt(states[0]) + epsilon);
    };
  }
};

struct Adam {
  static constexpr int kStates = 2;
  double alpha, beta, epsilon, norm, norm_after;
  explicit Adam(const Attributes& attrs)
      : alpha(static_cast<double>(attrs.Float("alpha", 0.9f))),
        beta(static_cast<double>(attrs.Float("beta", 0.999f))),
        epsilon(static_cast<double>(attrs.Float("epsilon", 1e-6f))),
        norm(static_cast<double>(attrs.Float("norm_coefficient", 0))),
        norm_after(static_cast<double>(attrs.Float("norm_coefficient_post", 0))) {}

  auto Start(double rate, int64_t t) const {
    const auto steps = static_cast<double>(t);
    const double r =
        t > 0 ? rate * std::sqrt(1 - std::pow(beta, steps)) / (1 - std::pow(alpha, steps)) : rate;
    return [r, *this](double& x, double gradient, std::array<double, kStates>& states) {
      const double g = norm * x + gradient;
      states[0] = alpha * states[0] + (1 - alpha) * g;
      states[1] = beta * states[1] + (1 - beta) * g * g;
      x = (1 - norm_after) * (x - r * states[0] / (std::sqrt(states[1]) + epsilon));
    };
  }
};

struct Momentum {
  static constexpr int kStates = 1;
  double alpha, beta, norm;
  bool nesterov;
  explicit Momentum(const Attributes& attrs)
      : alpha(static_cast<double>(attrs.Float("alpha"))),
        beta(static_cast<double>(attrs.Float("beta"))),
        norm(static_cast<double>(attrs.Float("norm_coefficient"))),
        nesterov(attrs.String("mode") == "nesterov") {
    if (!nesterov && attrs.String("mode") != "standard")
      throw Error(ErrorCode::kInvalidModel, "unknown mode '" + attrs.String("mode") + "'");
  }

  auto Start(double rate, int64_t t) const {
    const double b = t > 0 ? beta : 1;
    return [rate, b, *this](double& x, double gradient, std::array<double, kStates>& states) {
      const double g = norm * x + gradient;
      states[0] = alpha * states[0] + b * g;
      x -= rate * (nesterov ? g + alpha * states[0] : states[0]);
    };
  }
};

using Types = TypeList<float, double>;

template <typename Rule>
class OptimizerKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    rule_ = std::make_unique<Rule>(ctx.attrs());
    rate_type_ = ctx.dtype(0);
    if (!Contains(Types(), rate_type_)) ctx.Unsupported("R of type " + std::string(DataTypeName(rate_type_)));
    if (ctx.dtype(1) != DataType::kInt64)
      ctx.Fail("T is " + std::string(DataTypeName(ctx.dtype(1))) + ", expected int64");
    if (NumElements(ctx.shape(0)) != 1 || NumElements(ctx.shape(1)) != 1)
      ctx.Fail("R is " + ToString(ctx.shape(0)) + " and T " + ToString(ctx.shape(1)) + ", expected scalars");
    tensors_ = (ctx.num_inputs() - 2) / (2 + Rule::kStates);
    for (int i = 0; i < tensors_; ++i) {
      types_.push_back(ctx.dtype(2 + i));
      sizes_.push_back(NumElements(ctx.shape(2 + i)));
      if (!Contains(Types(), types_.back()))
        ctx.Unsupported("tensors of type " + std::string(DataTypeName(types_.back())));
    }
  }
  int64_t tiles() const override { return std::max(tensors_, 1); }
  void Run(const RunContext& ctx, int64_t tile) const override {
    const auto i = static_cast<int>(tile);
    const double rate =
        rate_type_ == DataType::kDouble ? *ctx.in<double>(0) : static_cast<double>(*ctx.in<float>(0));
    const auto step = rule_->Start(rate, *ctx.in<int64_t>(1));
    Dispatch(Types(), types_[static_cast<size_t>(i)], [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *x = ctx.in<T>(2 + i), *gradient = ctx.in<T>(2 + tensors_ + i);
      T* new_x = ctx.out<T>(i);
      for (int64_t at = 0; at < sizes_[static_cast<size_t>(i)]; ++at) {
        auto value = static_cast<double>(x[at]);
        std::array<double, Rule::kStates> states;
        for (int s = 0; s < Rule::kStates; ++s)
          states[static_cast<size_t>(s)] = static_cast<double>(ctx.in<T>(2 + (2 + s) * tensors_ + i)[at]);
        step(value, static_cast<double>(gradient[at]), states);
        if (new_x != nullptr) new_x[at] = static_cast<T>(value);
        for (int s = 0; s < Rule::kStates; ++s) {
          if (T* state = ctx.out<T>((1 + s) * tensors_ + i))
            state[at] = static_cast<T>(states[static_cast<size_t>(s)]);
        }
      }
    });
  }

 private:
  std::unique_ptr<Rule> rule_;
  DataType rate_type_ = DataType::kUndefined;
  int tensors_ = 0;
  std::vector<DataType> types_;
  std::vector<int64_t> sizes_;
};

template <typename Rule>
void InferOptimizer(InferContext& ctx) {
  constexpr int kKinds = 2 + Rule::kStates;
  const int given = ctx.num_inputs() - 2, tensors = given / kKinds;
  if (given % kKinds != 0 || ctx.num_outputs() > tensors * (kKinds - 1))
    ctx.Fail("has " + std::to_string(ctx.num_inputs()) + " inputs and " + std::to_string(ctx.num_outputs()) +
             " outputs, expected 2 and " + std::to_string(kKinds) + " more a tensor, and " +
             std::to_string(kKinds - 1) + " a tensor");
  for (int i = 0; i < tensors; ++i) {
    for (int kind = 1; kind < kKinds; ++kind) {
      const int other = 2 + kind * tensors + i;
      if (ctx.dtype(other) != ctx.dtype(2 + i) || (ToShape(ctx.shape(other)) && ToShape(ctx.shape(2 + i)) &&
                                                   *ToShape(ctx.shape(other)) != *ToShape(ctx.shape(2 + i))))
        ctx.Fail("input " + std::to_string(other) + " is " + ToString(ctx.input(other)) + ", expected " +
                 ToString(ctx.input(2 + i)) + " as input " + std::to_string(2 + i));
      ctx.SetOutput((kind - 1) * tensors + i, ctx.input(2 + i));
    }
  }
}

template <typename Rule>
Operator Define(std::string_view name) {
  return {.name = name,
          .versions = {1},
          .min_inputs = 2 + 2 + Rule::kStates,
          .max_inputs = Operator::kMany,
          .max_outputs = Operator::kMany,
          .infer = InferOptimizer<Rule>,
          .kernels = {&Make<OptimizerKernel<Rule>>},
          .domain = kDomain,
          .types = "float, double"};
}
const Operator kOperators[] = {Define<Adagrad>("Adagrad"), Define<Adam>("Adam"),
                               Define<Momentum>("Momentum")};
const std::vector<RegisterOperator> kRegister(std::begin(kOperators), std::end(kOperators));

}  // namespace
}  // namespace sluice
