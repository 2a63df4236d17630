#include <algorithm>

#include "kernels/ops/params.h"
#include "kernels/ops/stack.h"

// If (1, 11, 13, 16, 19, 21, 23, 24, 25), Loop (1, 11, 13, 16, 19, 21, 23, 24, 25), Scan (9, 11, 16, 19,
// 21, 23, 24, 25). Nested graphs take the captured values as their last inputs. Shapes of the results are
// left to the run.

namespace sluice {
namespace {

// What the nested graph states of its output `i`; the shape is not relied on.
ValueType Stated(const InferContext& ctx, std::string_view name, size_t i) {
  const Graph& graph = *ctx.attrs().Subgraph(name);
  if (i >= graph.outputs.size())
    ctx.Fail(std::string(name) + " has " + std::to_string(graph.outputs.size()) +
             " outputs, expected more than " + std::to_string(i));
  ValueType type = graph.value(graph.outputs[i]).type;
  type.has_shape = false;
  type.shape.clear();
  return type;
}

void CheckOutputs(const PrepareContext& ctx, std::string_view name, size_t expected) {
  const size_t found = ctx.attrs().Subgraph(name)->outputs.size();
  if (found != expected)
    ctx.Fail(std::string(name) + " has " + std::to_string(found) + " outputs, expected " +
             std::to_string(expected));
}
void CheckInputs(const PrepareContext& ctx, std::string_view name, size_t expected) {
  const size_t found = ctx.attrs().Subgraph(name)->inputs.size();
  if (found != expected)
    ctx.Fail(std::string(name) + " has " + std::to_string(found) + " inputs, expected " +
             std::to_string(expected));
}

bool Flag(const std::string& place, const Value& value) {
  if (!value.is_tensor() || value.tensor().dtype() != DataType::kBool || value.tensor().num_elements() != 1) {
    throw Error(ErrorCode::kInvalidArgument, place + ": the condition is not one bool");
  }
  return value.tensor().values<bool>()[0];
}

class NestedKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    inputs_ = ctx.num_inputs();
    all_inputs_ = static_cast<int>(ctx.node().inputs.size());
    outputs_ = ctx.num_outputs();
    for (int i = 0; i < inputs_; ++i) present_.push_back(ctx.has_input(i));
  }

 protected:
  void AddCaptures(const RunContext& ctx, std::vector<Value>& values) const {
    for (int i = inputs_; i < all_inputs_; ++i) values.push_back(ctx.value(i));
  }
  // Adds to the bytes that collected results take; a model may collect without end.
  void Count(int64_t& bytes, const Value& value) const {
    if (!value.is_tensor())
      throw Error(ErrorCode::kInvalidArgument, place_ + ": a collected output is no tensor");
    // Tensors without elements take memory too.
    constexpr int64_t kTensorBytes = 256;
    if (__builtin_add_overflow(bytes, value.tensor().byte_size() + kTensorBytes, &bytes)) bytes = INT64_MAX;
    CheckMemory(bytes);
  }
  // No iterations: a tensor without elements of the stated rank.
  static Tensor Nothing(const Graph& body, size_t output, int64_t axis) {
    const ValueType& type = body.value(body.outputs[output]).type;
    Shape shape;
    for (const Dim& dim : type.shape) shape.push_back(std::max<int64_t>(dim.value(), 0));
    shape.insert(shape.begin() + std::clamp<int64_t>(axis, 0, static_cast<int64_t>(shape.size())), 0);
    return Tensor(type.dtype == DataType::kUndefined ? DataType::kFloat : type.dtype, shape);
  }

  std::string place_;
  int inputs_ = 0, all_inputs_ = 0, outputs_ = 0;
  std::vector<bool> present_;
};

class IfKernel : public NestedKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    NestedKernel::Prepare(ctx);
    for (const char* name : {"then_branch", "else_branch"}) {
      CheckOutputs(ctx, name, static_cast<size_t>(outputs_));
      CheckInputs(ctx, name, static_cast<size_t>(all_inputs_ - inputs_));
    }
    // Where the condition is known the other branch need not even be valid for these shapes.
    const Tensor* condition = ctx.constant(0);
    if (condition == nullptr || Flag(place_, *condition)) then_ = ctx.Subgraph("then_branch");
    if (condition == nullptr || !Flag(place_, *condition)) else_ = ctx.Subgraph("else_branch");
  }
  void Run(const RunContext& ctx, int64_t) const override {
    std::vector<Value> values;
    AddCaptures(ctx, values);
    std::vector<Value> results = (Flag(place_, ctx.value(0)) ? then_ : else_)->Run(std::move(values));
    for (int i = 0; i < outputs_; ++i) ctx.SetOutput(i, results[static_cast<size_t>(i)].Owned());
  }

 private:
  std::shared_ptr<SubgraphRunner> then_, else_;
};

void InferIf(InferContext& ctx) {
  for (int i = 0; i < ctx.num_outputs(); ++i) {
    const ValueType a = Stated(ctx, "then_branch", static_cast<size_t>(i)),
                    b = Stated(ctx, "else_branch", static_cast<size_t>(i));
    if (a.dtype == DataType::kUndefined) {
      ctx.SetOutput(i, b);
    } else {
      if (b.dtype != DataType::kUndefined && (a.dtype != b.dtype || a.kind != b.kind)) {
        ctx.Fail("output " + std::to_string(i) + " is " + ToString(a) + " in one branch and " + ToString(b) +
                 " in the other");
      }
      ctx.SetOutput(i, a);
    }
  }
}

class LoopKernel : public NestedKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    NestedKernel::Prepare(ctx);
    states_ = std::max(inputs_ - 2, 0);
    if (outputs_ < states_)
      ctx.Fail("has " + std::to_string(outputs_) + " outputs for " + std::to_string(states_) +
               " carried values");
    CheckOutputs(ctx, "body", static_cast<size_t>(outputs_) + 1);
    CheckInputs(ctx, "body", static_cast<size_t>(2 + states_ + all_inputs_ - inputs_));
    if (!(inputs_ > 0 && present_[0]) && !(inputs_ > 1 && present_[1])) {
      ctx.Unsupported("neither a number of iterations nor a condition is given: the loop never ends");
    }
    graph_ = ctx.attrs().Subgraph("body");
    body_ = ctx.Subgraph("body");
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const bool counted = inputs_ > 0 && present_[0], tested = inputs_ > 1 && present_[1];
    const int64_t limit = counted ? Limit(ctx.value(0)) : INT64_MAX;
    bool go = !tested || Flag(place_, ctx.value(1));
    std::vector<Value> states;
    for (int i = 0; i < states_; ++i) states.push_back(ctx.value(i + 2));
    std::vector<std::vector<Tensor>> collected(static_cast<size_t>(outputs_ - states_));
    int64_t bytes = 0;
    for (int64_t i = 0; i < limit && go; ++i) {
      std::vector<Value> values = {Tensor::Scalar(i), Tensor::Scalar(go)};
      std::move(states.begin(), states.end(), std::back_inserter(values));
      AddCaptures(ctx, values);
      std::vector<Value> results = body_->Run(std::move(values));
      // Without a condition going in, the one coming out does not count.
      if (tested) go = Flag(place_, results[0]);
      states.assign(std::make_move_iterator(results.begin() + 1),
                    std::make_move_iterator(results.begin() + 1 + states_));
      for (size_t k = 0; k < collected.size(); ++k) {
        const Value& value = results[1 + static_cast<size_t>(states_) + k];
        Count(bytes, value);
        collected[k].push_back(value.tensor());
      }
    }
    for (int i = 0; i < states_; ++i) ctx.SetOutput(i, states[static_cast<size_t>(i)].Owned());
    for (size_t k = 0; k < collected.size(); ++k) {
      const auto output = static_cast<size_t>(states_) + k;
      ctx.SetOutput(static_cast<int>(output), collected[k].empty() ? Nothing(*graph_, output + 1, 0)
                                                                   : Join(place_, collected[k], 0, true));
      collected[k].clear();
    }
  }

 private:
  int64_t Limit(const Value& value) const {
    if (!value.is_tensor() || value.tensor().dtype() != DataType::kInt64 ||
        value.tensor().num_elements() != 1) {
      throw Error(ErrorCode::kInvalidArgument, place_ + ": the number of iterations is not one int64");
    }
    return value.tensor().values<int64_t>()[0];
  }

  int states_ = 0;
  std::shared_ptr<Graph> graph_;
  std::shared_ptr<SubgraphRunner> body_;
};

void InferLoop(InferContext& ctx) {
  for (int i = 0; i < ctx.num_outputs(); ++i) {
    ValueType type = Stated(ctx, "body", static_cast<size_t>(i) + 1);
    if (type.dtype == DataType::kUndefined && ctx.has_input(i + 2)) {
      type = ctx.input(i + 2);
      type.has_shape = false;
      type.shape.clear();
    }
    ctx.SetOutput(i, type);
  }
}

class ScanKernel : public NestedKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    NestedKernel::Prepare(ctx);
    const int64_t scans = ctx.attrs().Int("num_scan_inputs");
    if (scans < 1 || scans > inputs_)
      ctx.Fail("num_scan_inputs is " + std::to_string(scans) + " of " + std::to_string(inputs_) + " inputs");
    states_ = inputs_ - static_cast<int>(scans);
    if (outputs_ < states_)
      ctx.Fail("has " + std::to_string(outputs_) + " outputs for " + std::to_string(states_) + " states");
    CheckOutputs(ctx, "body", static_cast<size_t>(outputs_));
    CheckInputs(ctx, "body", static_cast<size_t>(all_inputs_));
    const auto list = [&](const char* name, int64_t count) {
      std::vector<int64_t> values =
          ctx.attrs().Ints(name, std::vector<int64_t>(static_cast<size_t>(count), 0));
      if (static_cast<int64_t>(values.size()) != count)
        ctx.Fail(std::string(name) + " has " + std::to_string(values.size()) + " entries, expected " +
                 std::to_string(count));
      return values;
    };
    in_axes_ = list("scan_input_axes", scans);
    in_backwards_ = list("scan_input_directions", scans);
    out_axes_ = list("scan_output_axes", outputs_ - states_);
    out_backwards_ = list("scan_output_directions", outputs_ - states_);
    for (size_t k = 0; k < in_axes_.size(); ++k) {
      const int input = states_ + static_cast<int>(k);
      in_axes_[k] = CheckedAxis(ctx, in_axes_[k], static_cast<int64_t>(ctx.shape(input).size()));
      const int64_t length = ctx.shape(input)[static_cast<size_t>(in_axes_[k])];
      if (k > 0 && length != length_)
        ctx.Fail("scan inputs have lengths " + std::to_string(length_) + " and " + std::to_string(length));
      length_ = length;
    }
    graph_ = ctx.attrs().Subgraph("body");
    body_ = ctx.Subgraph("body");
  }
  void Run(const RunContext& ctx, int64_t) const override {
    std::vector<Value> states;
    for (int i = 0; i < states_; ++i) states.push_back(ctx.value(i));
    std::vector<std::vector<Tensor>> collected(out_axes_.size());
    int64_t bytes = 0;
    for (int64_t t = 0; t < length_; ++t) {
      std::vector<Value> values;
      std::move(states.begin(), states.end(), std::back_inserter(values));
      for (size_t k = 0; k < in_axes_.size(); ++k) {
        values.push_back(Cut(ctx.value(states_ + static_cast<int>(k)).tensor(), in_axes_[k],
                             in_backwards_[k] ? length_ - 1 - t : t, 1, true));
      }
      AddCaptures(ctx, values);
      std::vector<Value> results = body_->Run(std::move(values));
      states.assign(std::make_move_iterator(results.begin()),
                    std::make_move_iterator(results.begin() + states_));
      for (size_t k = 0; k < collected.size(); ++k) {
        const Value& value = results[static_cast<size_t>(states_) + k];
        Count(bytes, value);
        collected[k].push_back(value.tensor());
      }
    }
    for (int i = 0; i < states_; ++i) ctx.SetOutput(i, states[static_cast<size_t>(i)].Owned());
    for (size_t k = 0; k < collected.size(); ++k) {
      const auto output = static_cast<size_t>(states_) + k;
      if (collected[k].empty()) {
        ctx.SetOutput(static_cast<int>(output), Nothing(*graph_, output, out_axes_[k]));
        continue;
      }
      if (out_backwards_[k]) std::reverse(collected[k].begin(), collected[k].end());
      const int64_t rank = collected[k][0].rank() + 1,
                    axis = out_axes_[k] < 0 ? out_axes_[k] + rank : out_axes_[k];
      if (axis < 0 || axis >= rank)
        throw Error(ErrorCode::kInvalidArgument, place_ + ": scan output axis " +
                                                     std::to_string(out_axes_[k]) + " does not fit rank " +
                                                     std::to_string(rank));
      ctx.SetOutput(static_cast<int>(output), Join(place_, collected[k], axis, true));
    }
  }

 private:
  int states_ = 0;
  int64_t length_ = 0;
  std::vector<int64_t> in_axes_, in_backwards_, out_axes_, out_backwards_;
  std::shared_ptr<Graph> graph_;
  std::shared_ptr<SubgraphRunner> body_;
};

void InferScan(InferContext& ctx) {
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.SetOutput(i, Stated(ctx, "body", static_cast<size_t>(i)));
}

const Operator kIf = {.name = "If",
                      .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25},
                      .max_outputs = Operator::kMany,
                      .infer = InferIf,
                      .kernels = {&Make<IfKernel>},
                      .types = "any"};
const Operator kLoop = {
    .name = "Loop",
    .versions = {1, 11, 13, 16, 19, 21, 23, 24, 25},
    .min_inputs = 0,
    .max_inputs = Operator::kMany,
    .max_outputs = Operator::kMany,
    .infer = InferLoop,
    .kernels = {&Make<LoopKernel>},
    .types = "any",
};
const Operator kScan = {
    .name = "Scan",
    .versions = {9, 11, 16, 19, 21, 23, 24, 25},
    .max_inputs = Operator::kMany,
    .max_outputs = Operator::kMany,
    .infer = InferScan,
    .kernels = {&Make<ScanKernel>},
    .types = "any",
};
const RegisterOperator kRegister[] = {RegisterOperator(kIf), RegisterOperator(kLoop),
                                      RegisterOperator(kScan)};

}  // namespace
}  // namespace sluice
