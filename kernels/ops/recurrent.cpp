#include "kernels/dispatch.h"
#include "kernels/forwarding_kernel.h"
#include "kernels/ops/recurrent_kernel.h"

// RNN (1, 7, 14, 22), GRU (1, 3, 7, 14, 22), LSTM (1, 7, 14, 22) of all float types, computed in float or
// double.
//
// x [seq, batch, in], w [dirs, gates * hidden, in], r [dirs, gates * hidden, hidden], b [dirs, 2 * gates *
// hidden], sequence_lens [batch], initial_h and, LSTM only, initial_c [dirs, batch, hidden], p [dirs, 3 *
// hidden]; outputs y [seq, dirs, batch, hidden], y_h and y_c [dirs, batch, hidden]. With layout 1 the batch
// comes first.

namespace sluice {
namespace {

void Expect(const InferContext& ctx, int input, const SymShape& expected) {
  if (!ctx.has_input(input)) return;
  const SymShape& shape = ctx.shape(input);
  bool fits = shape.size() == expected.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = !shape[i].known() || !expected[i].known() || shape[i].value() == expected[i].value();
  }
  if (!fits) {
    ctx.Fail("input " + std::to_string(input) + " is " + ToString(shape) + ", expected " +
             ToString(expected));
  }
}

template <RecurrentCell kCell>
void InferRecurrent(InferContext& ctx) {
  for (int i = 1; i < ctx.num_inputs(); ++i) {
    const DataType wanted = i == 4 ? DataType::kInt32 : ctx.dtype(0);
    if (ctx.has_input(i) && ctx.dtype(i) != wanted) {
      ctx.Fail("input " + std::to_string(i) + " is " + std::string(DataTypeName(ctx.dtype(i))) +
               ", expected " + std::string(DataTypeName(wanted)));
    }
  }
  const Dim dirs = RecurrentDirections(ctx.attrs()), gates = GatesOf(kCell);
  const bool batch_first = ctx.attrs().Int("layout", 0) != 0;
  for (int i = 0; i < 3; ++i) Expect(ctx, i, SymShape(3));
  const Dim seq = ctx.shape(0)[batch_first ? 1 : 0], batch = ctx.shape(0)[batch_first ? 0 : 1];
  Dim hidden = ctx.shape(2)[2];
  if (ctx.attrs().Has("hidden_size")) {
    const Dim stated = ctx.attrs().Int("hidden_size");
    if (!hidden.known()) hidden = stated;
    if (hidden.value() != stated.value()) {
      ctx.Fail("hidden_size is " + std::to_string(stated.value()) + ", input 2 is " + ToString(ctx.shape(2)));
    }
  }
  const SymShape state = batch_first ? SymShape{batch, dirs, hidden} : SymShape{dirs, batch, hidden};
  Expect(ctx, 1, {dirs, gates * hidden, ctx.shape(0)[2]});
  Expect(ctx, 2, {dirs, gates * hidden, hidden});
  Expect(ctx, 3, {dirs, Dim(2) * gates * hidden});
  Expect(ctx, 4, {batch});
  Expect(ctx, 5, state);
  Expect(ctx, 6, state);
  Expect(ctx, 7, {dirs, Dim(3) * hidden});
  ctx.SetOutput(0, ctx.dtype(0),
                batch_first ? SymShape{batch, seq, dirs, hidden} : SymShape{seq, dirs, batch, hidden});
  for (int i = 1; i < ctx.num_outputs(); ++i) ctx.SetOutput(i, ctx.dtype(0), state);
}

template <RecurrentCell kCell>
class RecurrentOperatorKernel : public ForwardingKernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(FloatTypes(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<RecurrentKernel<kCell, typename decltype(tag)::type>>();
    });
    if (!known) ctx.Decline("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
};

template <RecurrentCell kCell>
Operator Definition(std::string_view name, std::vector<int> versions, int max_inputs, int max_outputs) {
  return {
      .name = name,
      .versions = std::move(versions),
      .min_inputs = 3,
      .max_inputs = max_inputs,
      .min_outputs = 0,
      .max_outputs = max_outputs,
      .infer = InferRecurrent<kCell>,
      .kernels = {&Make<RecurrentOperatorKernel<kCell>>},
      .types = "float, double, float16, bfloat16",
  };
}

const Operator kRnn = Definition<RecurrentCell::kRnn>("RNN", {1, 7, 14, 22}, 6, 2);
const Operator kGru = Definition<RecurrentCell::kGru>("GRU", {1, 3, 7, 14, 22}, 6, 2);
const Operator kLstm = Definition<RecurrentCell::kLstm>("LSTM", {1, 7, 14, 22}, 8, 3);
const RegisterOperator kRegister[] = {RegisterOperator(kRnn), RegisterOperator(kGru),
                                      RegisterOperator(kLstm)};

}  // namespace
}  // namespace sluice
