#include <algorithm>

#include "kernels/ops/params.h"
#include "kernels/ops/stack.h"

// Scan (8): the form with a batch. Inputs are sequence_lens (optional), states [batch, ...] and scan inputs
// [batch, time, ...]; the body sees one item of the batch. What lies behind an item's length is zero.

namespace sluice {
namespace {

class Scan8Kernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    inputs_ = ctx.num_inputs();
    all_inputs_ = static_cast<int>(ctx.node().inputs.size());
    outputs_ = ctx.num_outputs();
    const int64_t scans = ctx.attrs().Int("num_scan_inputs");
    if (scans < 1 || scans > inputs_ - 1)
      ctx.Fail("num_scan_inputs is " + std::to_string(scans) + " of " + std::to_string(inputs_ - 1) +
               " inputs");
    states_ = inputs_ - 1 - static_cast<int>(scans);
    const Graph& body = *ctx.attrs().Subgraph("body");
    if (outputs_ < states_ || static_cast<int>(body.outputs.size()) != outputs_ ||
        static_cast<int>(body.inputs.size()) != all_inputs_ - 1) {
      ctx.Fail("the body's inputs and outputs do not fit the node's");
    }
    backwards_ = ctx.attrs().Ints("directions", std::vector<int64_t>(static_cast<size_t>(scans), 0));
    if (static_cast<int64_t>(backwards_.size()) != scans)
      ctx.Fail("directions has " + std::to_string(backwards_.size()) + " entries, expected " +
               std::to_string(scans));
    for (int i = 1; i < inputs_; ++i) {
      const Shape& shape = ctx.shape(i);
      if (shape.empty() || (i > states_ && shape.size() < 2))
        ctx.Fail("input " + std::to_string(i) + " is " + ToString(shape) + ", expected a batch");
      if (i == 1) batch_ = shape[0];
      if (i == states_ + 1) time_ = shape[1];
      if (shape[0] != batch_ || (i > states_ && shape[1] != time_))
        ctx.Fail("inputs have different batches or lengths");
    }
    lengths_ = ctx.has_input(0);
    if (lengths_ && (ctx.dtype(0) != DataType::kInt64 || ctx.shape(0) != Shape{batch_}))
      ctx.Fail("sequence_lens must be int64 [" + std::to_string(batch_) + "]");
    if (batch_ == 0 || time_ == 0) ctx.Unsupported("an empty batch or sequence");
    body_ = ctx.Subgraph("body");
  }

  void Run(const RunContext& ctx, int64_t) const override {
    // Of each output, one tensor an item of the batch.
    std::vector<std::vector<Tensor>> items(static_cast<size_t>(outputs_));
    for (int64_t b = 0; b < batch_; ++b) RunItem(ctx, b, items);
    for (int i = 0; i < outputs_; ++i) ctx.SetOutput(i, Join(place_, items[static_cast<size_t>(i)], 0, true));
  }

 private:
  void RunItem(const RunContext& ctx, int64_t b, std::vector<std::vector<Tensor>>& items) const {
    const int64_t length = lengths_ ? ctx.in<int64_t>(0)[b] : time_;
    if (length < 1 || length > time_) {
      throw Error(ErrorCode::kInvalidArgument, place_ + ": sequence length " + std::to_string(length) +
                                                   " is outside [1, " + std::to_string(time_) + "]");
    }
    std::vector<Value> states;
    for (int i = 0; i < states_; ++i) states.push_back(Cut(ctx.value(i + 1).tensor(), 0, b, 1, true));
    std::vector<Tensor> sequences;
    for (size_t k = 0; k < backwards_.size(); ++k)
      sequences.push_back(Cut(ctx.value(1 + states_ + static_cast<int>(k)).tensor(), 0, b, 1, true));
    std::vector<std::vector<Tensor>> collected(static_cast<size_t>(outputs_ - states_));
    int64_t bytes = 0;
    for (int64_t t = 0; t < length; ++t) {
      std::vector<Value> values = std::move(states);
      for (size_t k = 0; k < sequences.size(); ++k)
        values.push_back(Cut(sequences[k], 0, backwards_[k] ? length - 1 - t : t, 1, true));
      for (int i = inputs_; i < all_inputs_; ++i) values.push_back(ctx.value(i));
      std::vector<Value> results = body_->Run(std::move(values));
      states.assign(results.begin(), results.begin() + states_);
      for (size_t k = 0; k < collected.size(); ++k) {
        const Tensor& part = results[static_cast<size_t>(states_) + k].tensor();
        if (part.empty() || __builtin_add_overflow(bytes, part.byte_size(), &bytes))
          throw Error(ErrorCode::kInvalidArgument, place_ + ": a collected output is no tensor");
        CheckMemory(bytes);
        collected[k].push_back(part);
      }
    }
    for (int i = 0; i < states_; ++i)
      items[static_cast<size_t>(i)].push_back(states[static_cast<size_t>(i)].tensor());
    for (size_t k = 0; k < collected.size(); ++k) {
      if (length < time_) {
        Tensor zero(collected[k][0].dtype(), collected[k][0].shape());
        if (zero.dtype() != DataType::kString)
          std::fill_n(static_cast<char*>(zero.mutable_data()), zero.byte_size(), char{0});
        collected[k].resize(static_cast<size_t>(time_), zero);
      }
      items[static_cast<size_t>(states_) + k].push_back(Join(place_, collected[k], 0, true));
    }
  }

  std::string place_;
  int inputs_ = 0, all_inputs_ = 0, outputs_ = 0, states_ = 0;
  bool lengths_ = false;
  int64_t batch_ = 0, time_ = 0;
  std::vector<int64_t> backwards_;
  std::shared_ptr<SubgraphRunner> body_;
};

void InferScan8(InferContext& ctx) {
  const Graph& body = *ctx.attrs().Subgraph("body");
  if (ctx.num_inputs() < 2) ctx.Fail("expected at least 2 inputs, found " + std::to_string(ctx.num_inputs()));
  if (static_cast<int>(body.outputs.size()) != ctx.num_outputs())
    ctx.Fail("the body has " + std::to_string(body.outputs.size()) + " outputs, expected " +
             std::to_string(ctx.num_outputs()));
  for (int i = 0; i < ctx.num_outputs(); ++i)
    ctx.SetUnknownShape(i, body.value(body.outputs[static_cast<size_t>(i)]).type.dtype);
}

const Operator kScan8 = {.name = "Scan",
                         .versions = {8},
                         .min_inputs = 0,  // the first may be absent; InferScan8 wants one more
                         .max_inputs = Operator::kMany,
                         .max_outputs = Operator::kMany,
                         .infer = InferScan8,
                         .kernels = {&Make<Scan8Kernel>},
                         .types = "any"};
const RegisterOperator kRegister(kScan8);

}  // namespace
}  // namespace sluice
