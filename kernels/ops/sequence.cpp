#include <algorithm>

#include "kernels/ops/params.h"
#include "kernels/ops/stack.h"

// SequenceConstruct, SequenceEmpty, SequenceAt, SequenceInsert, SequenceErase, SequenceLength (11),
// SplitToSequence (11, 24), ConcatFromSequence (11), SequenceMap (17), Optional (15, 28), OptionalGetElement and
// OptionalHasElement (15, 18, 28). Sequences hold tensors of one element type.

namespace sluice {
namespace {

class SequenceKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    place_ = Describe(ctx.node());
    inputs_ = ctx.num_inputs();
    for (int i = 0; i < inputs_; ++i) present_.push_back(ctx.has_input(i));
  }

 protected:
  [[noreturn]] void Refuse(const std::string& message) const {
    throw Error(ErrorCode::kInvalidArgument, place_ + ": " + message);
  }
  // The items of input `i`, kept alive by `holder`.
  const std::vector<Value>& Items(const Value& holder, int i) const {
    if (!holder.is_sequence()) Refuse("input " + std::to_string(i) + " is no sequence");
    return holder.items();
  }
  // The position in input `i`, in [0, limit); `fallback` where the input is absent.
  int64_t Position(const RunContext& ctx, int i, int64_t size, int64_t limit, int64_t fallback) const {
    if (i >= inputs_ || !present_[static_cast<size_t>(i)]) return fallback;
    const Value value = ctx.value(i);
    const bool wide = value.is_tensor() && value.tensor().dtype() == DataType::kInt64;
    if (!value.is_tensor() || value.tensor().num_elements() != 1 ||
        (!wide && value.tensor().dtype() != DataType::kInt32)) {
      Refuse("the position is no single int32 or int64");
    }
    const int64_t position = wide ? value.tensor().values<int64_t>()[0] : value.tensor().values<int32_t>()[0];
    if (position < -size || position >= limit) {
      Refuse("position " + std::to_string(position) + " is outside [-" + std::to_string(size) + ", " +
             std::to_string(limit) + ")");
    }
    return position < 0 ? position + size : position;
  }

  std::string place_;
  int inputs_ = 0;
  std::vector<bool> present_;
};

class ConstructKernel : public SequenceKernel {
 public:
  void Run(const RunContext& ctx, int64_t) const override {
    std::vector<Value> items;
    for (int i = 0; i < inputs_; ++i) items.push_back(ctx.value(i).Owned());
    ctx.SetOutput(0, Value::Sequence(std::move(items)));
  }
};

class EmptyKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override { type_ = static_cast<DataType>(ctx.attrs().Int("dtype", 1)); }
  void Run(const RunContext& ctx, int64_t) const override { ctx.SetOutput(0, Value::Sequence({}, type_)); }

 private:
  DataType type_ = DataType::kFloat;
};

class AtKernel : public SequenceKernel {
 public:
  void Run(const RunContext& ctx, int64_t) const override {
    const Value sequence = ctx.value(0);
    const auto& items = Items(sequence, 0);
    const auto size = static_cast<int64_t>(items.size());
    ctx.SetOutput(0, items[static_cast<size_t>(Position(ctx, 1, size, size, 0))].Owned());
  }
};

class InsertKernel : public SequenceKernel {
 public:
  void Run(const RunContext& ctx, int64_t) const override {
    const Value sequence = ctx.value(0);
    std::vector<Value> items = Items(sequence, 0);
    const auto size = static_cast<int64_t>(items.size());
    const DataType type = sequence.element_type();
    Value item = ctx.value(1).Owned();
    if (type != DataType::kUndefined && item.is_tensor() && item.tensor().dtype() != type) {
      Refuse("inserting " + std::string(DataTypeName(item.tensor().dtype())) + " into a sequence of " +
             std::string(DataTypeName(type)));
    }
    items.insert(items.begin() + Position(ctx, 2, size, size + 1, size), std::move(item));
    ctx.SetOutput(0, Value::Sequence(std::move(items), type).Owned());
  }
};

class EraseKernel : public SequenceKernel {
 public:
  void Run(const RunContext& ctx, int64_t) const override {
    const Value sequence = ctx.value(0);
    std::vector<Value> items = Items(sequence, 0);
    const auto size = static_cast<int64_t>(items.size());
    if (size == 0) Refuse("the sequence is empty");
    items.erase(items.begin() + Position(ctx, 1, size, size, size - 1));
    ctx.SetOutput(0, Value::Sequence(std::move(items), sequence.element_type()).Owned());
  }
};

class LengthKernel : public SequenceKernel {
 public:
  void Run(const RunContext& ctx, int64_t) const override {
    const Value sequence = ctx.value(0);
    *ctx.out<int64_t>(0) = static_cast<int64_t>(Items(sequence, 0).size());
  }
};

class SplitToSequenceKernel : public SequenceKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    SequenceKernel::Prepare(ctx);
    axis_ = CheckedAxis(ctx, ctx.attrs().Int("axis", 0), static_cast<int64_t>(ctx.shape(0).size()));
    keep_ = ctx.attrs().Int("keepdims", 1) != 0;
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const Value whole = ctx.value(0);
    const int64_t total = whole.tensor().shape()[static_cast<size_t>(axis_)];
    const bool split = inputs_ > 1 && present_[1];
    std::vector<int64_t> sizes;
    if (!split) {
      sizes.assign(static_cast<size_t>(total), 1);
    } else {
      const Tensor given = ctx.value(1).tensor();
      if (given.dtype() == DataType::kInt64)
        sizes.assign(given.values<int64_t>().begin(), given.values<int64_t>().end());
      else if (given.dtype() == DataType::kInt32)
        sizes.assign(given.values<int32_t>().begin(), given.values<int32_t>().end());
      else
        Refuse("split is " + std::string(DataTypeName(given.dtype())) + ", expected int32 or int64");
      if (given.rank() == 0) {
        const int64_t part = sizes[0];
        if (part <= 0) Refuse("split is " + std::to_string(part));
        sizes.clear();
        for (int64_t begin = 0; begin < total; begin += sizes.back())
          sizes.push_back(std::min(part, total - begin));
      }
    }
    std::vector<Value> items;
    int64_t begin = 0;
    for (int64_t size : sizes) {
      if (size < 0 || size > total - begin)
        Refuse("split " + ToString(sizes) + " does not cut size " + std::to_string(total));
      items.push_back(Cut(whole.tensor(), axis_, begin, size, !split && !keep_));
      begin += size;
    }
    if (begin != total) Refuse("split " + ToString(sizes) + " does not cut size " + std::to_string(total));
    ctx.SetOutput(0, Value::Sequence(std::move(items), whole.tensor().dtype()));
  }

 private:
  int64_t axis_ = 0;
  bool keep_ = true;
};

class ConcatFromSequenceKernel : public SequenceKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    SequenceKernel::Prepare(ctx);
    axis_ = ctx.attrs().Int("axis");
    new_axis_ = ctx.attrs().Int("new_axis", 0) != 0;
  }
  void Run(const RunContext& ctx, int64_t) const override {
    const Value sequence = ctx.value(0);
    std::vector<Tensor> parts;
    for (const Value& item : Items(sequence, 0)) parts.push_back(item.tensor());
    if (parts.empty()) Refuse("the sequence is empty");
    const int64_t rank = parts[0].rank() + (new_axis_ ? 1 : 0);
    if (axis_ < -rank || axis_ >= rank)
      Refuse("axis " + std::to_string(axis_) + " does not fit rank " + std::to_string(rank));
    ctx.SetOutput(0, Join(place_, parts, axis_ < 0 ? axis_ + rank : axis_, new_axis_));
  }

 private:
  int64_t axis_ = 0;
  bool new_axis_ = false;
};

// The body runs for every item of the first sequence; other sequences go along, tensors stay the same.
class MapKernel : public SequenceKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    SequenceKernel::Prepare(ctx);
    outputs_ = static_cast<size_t>(ctx.num_outputs());
    all_inputs_ = static_cast<int>(ctx.node().inputs.size());
    const Graph& body = *ctx.attrs().Subgraph("body");
    if (body.outputs.size() != outputs_ || static_cast<int>(body.inputs.size()) != all_inputs_)
      ctx.Fail("the body's inputs and outputs are not as many as the node's");
    body_ = ctx.Subgraph("body");
  }
  void Run(const RunContext& ctx, int64_t) const override {
    std::vector<Value> values;
    for (int i = 0; i < all_inputs_; ++i) values.push_back(ctx.value(i));
    const size_t size = Items(values[0], 0).size();
    std::vector<std::vector<Value>> results(outputs_);
    for (size_t k = 0; k < size; ++k) {
      std::vector<Value> arguments = values;
      for (int i = 0; i < inputs_; ++i) {
        Value& argument = arguments[static_cast<size_t>(i)];
        if (!argument.is_sequence()) continue;
        const auto& items = values[static_cast<size_t>(i)].items();
        if (items.size() != size)
          Refuse("sequences have " + std::to_string(size) + " and " + std::to_string(items.size()) +
                 " items");
        argument = items[k];
      }
      std::vector<Value> found = body_->Run(std::move(arguments));
      for (size_t i = 0; i < outputs_; ++i) results[i].push_back(found[i].Owned());
    }
    for (size_t i = 0; i < outputs_; ++i)
      ctx.SetOutput(static_cast<int>(i), Value::Sequence(std::move(results[i])));
  }

 private:
  size_t outputs_ = 0;
  int all_inputs_ = 0;
  std::shared_ptr<SubgraphRunner> body_;
};

class OptionalKernel : public SequenceKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    SequenceKernel::Prepare(ctx);
    element_ = ctx.node().op_type == "OptionalGetElement";
    if (ctx.output_known(0)) ctx.ShareOutput(0, 0);
  }
  void Run(const RunContext& ctx, int64_t) const override {
    Value value = inputs_ > 0 && present_[0] ? ctx.value(0).Owned() : Value();
    if (element_ && value.is_none()) Refuse("the optional has no element");
    ctx.SetOutput(0, std::move(value));
  }

 private:
  bool element_ = false;
};

class HasElementKernel : public SequenceKernel {
 public:
  void Run(const RunContext& ctx, int64_t) const override {
    *ctx.out<bool>(0) = inputs_ > 0 && present_[0] && !ctx.value(0).is_none();
  }
};

void InferItem(InferContext& ctx) {
  const DataType key = ctx.input(0).key_type;
  if (key == DataType::kUndefined) return ctx.SetUnknownShape(0, ctx.dtype(0));
  ctx.SetOutput(0, ValueType::MapOf(key, ctx.dtype(0)));
}
void InferSequence(InferContext& ctx) {
  ctx.SetOutput(0, ValueType::SequenceOf(ctx.dtype(0), ctx.input(0).key_type));
}
void InferMap(InferContext& ctx) {
  const Graph& body = *ctx.attrs().Subgraph("body");
  for (size_t i = 0; i < body.outputs.size(); ++i)
    ctx.SetOutput(static_cast<int>(i), ValueType::SequenceOf(body.value(body.outputs[i]).type.dtype));
}
void InferOptional(InferContext& ctx) {
  ctx.SetOutput(
      0, ValueType{
             ctx.has_input(0) ? ctx.dtype(0) : DataType::kUndefined, ValueType::Kind::kOptional, false, {}});
}
void InferElement(InferContext& ctx) {
  if (ctx.input(0).kind != ValueType::Kind::kOptional) return ctx.SetOutput(0, ctx.input(0));
  ctx.SetOutput(0, ValueType());
}

constexpr int kMany = Operator::kMany;
const Operator kConstruct = {.name = "SequenceConstruct",
                             .versions = {11},
                             .max_inputs = kMany,
                             .infer = InferSequence,
                             .kernels = {&Make<ConstructKernel>},
                             .types = "any"};
const Operator kEmpty = {
    .name = "SequenceEmpty",
    .versions = {11},
    .min_inputs = 0,
    .max_inputs = 0,
    .infer =
        [](InferContext& ctx) {
          ctx.SetOutput(0, ValueType::SequenceOf(static_cast<DataType>(ctx.attrs().Int("dtype", 1))));
        },
    .kernels = {&Make<EmptyKernel>},
    .types = "any",
};
const Operator kAt = {.name = "SequenceAt",
                      .versions = {11},
                      .min_inputs = 2,
                      .max_inputs = 2,
                      .infer = InferItem,
                      .kernels = {&Make<AtKernel>},
                      .types = "any"};
const Operator kInsert = {
    .name = "SequenceInsert",
    .versions = {11},
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = [](InferContext& ctx) { ctx.SetOutput(0, ValueType::SequenceOf(ctx.dtype(1))); },
    .kernels = {&Make<InsertKernel>},
    .types = "any",
};
const Operator kErase = {.name = "SequenceErase",
                         .versions = {11},
                         .max_inputs = 2,
                         .infer = InferSequence,
                         .kernels = {&Make<EraseKernel>},
                         .types = "any"};
const Operator kLength = {
    .name = "SequenceLength",
    .versions = {11},
    .infer = [](InferContext& ctx) { ctx.SetOutput(0, DataType::kInt64, {}); },
    .kernels = {&Make<LengthKernel>},
    .types = "any",
};
const Operator kSplitToSequence = {.name = "SplitToSequence",
                                   .versions = {11, 24},
                                   .max_inputs = 2,
                                   .infer = InferSequence,
                                   .kernels = {&Make<SplitToSequenceKernel>},
                                   .types = "any"};
const Operator kConcatFromSequence = {.name = "ConcatFromSequence",
                                      .versions = {11},
                                      .infer = InferItem,
                                      .kernels = {&Make<ConcatFromSequenceKernel>},
                                      .types = "any"};
const Operator kMap = {.name = "SequenceMap",
                       .versions = {17},
                       .max_inputs = kMany,
                       .max_outputs = kMany,
                       .infer = InferMap,
                       .kernels = {&Make<MapKernel>},
                       .types = "any"};
const Operator kOptional = {.name = "Optional",
                            .versions = {15, 28},
                            .min_inputs = 0,
                            .infer = InferOptional,
                            .kernels = {&Make<OptionalKernel>},
                            .types = "any"};
const Operator kGetElement = {.name = "OptionalGetElement",
                              .versions = {15, 18, 28},
                              .infer = InferElement,
                              .kernels = {&Make<OptionalKernel>},
                              .types = "any"};
const Operator kHasElement = {
    .name = "OptionalHasElement",
    .versions = {15, 18, 28},
    .min_inputs = 0,
    .infer = [](InferContext& ctx) { ctx.SetOutput(0, DataType::kBool, {}); },
    .kernels = {&Make<HasElementKernel>},
    .types = "any",
};
const RegisterOperator kRegister[] = {RegisterOperator(kConstruct),
                                      RegisterOperator(kEmpty),
                                      RegisterOperator(kAt),
                                      RegisterOperator(kInsert),
                                      RegisterOperator(kErase),
                                      RegisterOperator(kLength),
                                      RegisterOperator(kSplitToSequence),
                                      RegisterOperator(kConcatFromSequence),
                                      RegisterOperator(kMap),
                                      RegisterOperator(kOptional),
                                      RegisterOperator(kGetElement),
                                      RegisterOperator(kHasElement)};

}  // namespace
}  // namespace sluice
