#include "kernels/dispatch.h"
#include "kernels/forwarding_kernel.h"
#include "kernels/matmul/panel_kernel.h"
#include "kernels/onednn/matmul_kernel.h"
#include "kernels/ops/einsum_equation.h"
#include "kernels/ops/params.h"
#include "kernels/strided_copy.h"

// Einsum (12, 28). Two inputs are a product of matrices whose rows, columns, inner and batch axes are those
// labels that the first input, the second, both but not the output, and all three have. Any other number of
// inputs is computed by loops over all labels. Every numeric type; integers wrap around.

namespace sluice {
namespace {

template <typename Context>
EinsumEquation ReadEquation(const Context& ctx) {
  std::vector<int64_t> ranks;
  for (int i = 0; i < ctx.num_inputs(); ++i) ranks.push_back(static_cast<int64_t>(ctx.shape(i).size()));
  return EinsumEquation::Parse(ctx.attrs().String("equation"), ranks);
}

// One label: its size, its strides in the inputs and in the output.
struct Label {
  int64_t size = 1;
  std::vector<int64_t> inputs;
  int64_t output = 0;
  bool in_output = false;
};

// By label; an axis of size 1 that repeats has no stride, one that occurs twice in an input has the
// diagonal's.
std::vector<Label> LabelsOf(const PrepareContext& ctx, const EinsumEquation& equation) {
  std::vector<Shape> shapes;
  for (int i = 0; i < ctx.num_inputs(); ++i) shapes.push_back(ctx.shape(i));
  const std::vector<int64_t> sizes = equation.SizesOf(shapes);
  std::vector<Label> labels(sizes.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    labels[i].size = sizes[i];
    labels[i].inputs.assign(shapes.size(), 0);
  }
  for (size_t input = 0; input < shapes.size(); ++input) {
    const Shape strides = RowMajorStrides(shapes[input]);
    for (size_t axis = 0; axis < strides.size(); ++axis) {
      if (shapes[input][axis] == 1) continue;
      labels[static_cast<size_t>(equation.inputs[input][axis])].inputs[input] += strides[axis];
    }
  }
  const Shape strides = RowMajorStrides(ctx.output(0).shape);
  for (size_t axis = 0; axis < strides.size(); ++axis) {
    Label& label = labels[static_cast<size_t>(equation.output[axis])];
    label.output = strides[axis];
    label.in_output = true;
  }
  return labels;
}

// Labels that are summed, in the order in which the inputs have them.
std::vector<int> SummedLabels(const EinsumEquation& equation, const std::vector<Label>& labels) {
  std::vector<int> summed;
  for (const std::vector<int>& input : equation.inputs) {
    for (int label : input) {
      if (labels[static_cast<size_t>(label)].in_output) continue;
      if (std::find(summed.begin(), summed.end(), label) == summed.end()) summed.push_back(label);
    }
  }
  return summed;
}

void InferEinsum(InferContext& ctx) {
  CheckSameType(ctx);
  const EinsumEquation equation = ReadEquation(ctx);
  // As SizesOf, where some sizes are not known.
  std::vector<Dim> sizes(static_cast<size_t>(equation.labels), Dim(1));
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const std::vector<int>& labels = equation.inputs[static_cast<size_t>(i)];
    for (size_t axis = 0; axis < labels.size(); ++axis) {
      Dim& size = sizes[static_cast<size_t>(labels[axis])];
      size = ctx.Broadcast({size}, {ctx.shape(i)[axis]})[0];
    }
  }
  SymShape shape;
  for (int label : equation.output) shape.push_back(sizes[static_cast<size_t>(label)]);
  ctx.SetOutput(0, ctx.dtype(0), std::move(shape));
}

MatMulSpec ReadEinsum(const PrepareContext& ctx) {
  if (ctx.num_inputs() != 2) ctx.Decline("no product of two inputs");
  const EinsumEquation equation = ReadEquation(ctx);
  const std::vector<Label> labels = LabelsOf(ctx, equation);
  std::vector<Contraction::Axis> batch, m, n, k;
  MatMulSpec spec;
  // What varies fastest in the output is a column, so that rows of it are written.
  const auto fastest = std::find_if(equation.output.rbegin(), equation.output.rend(), [&](int label) {
    const Label& l = labels[static_cast<size_t>(label)];
    return l.size > 1 && (l.inputs[0] == 0) != (l.inputs[1] == 0);
  });
  if (fastest != equation.output.rend() && labels[static_cast<size_t>(*fastest)].inputs[1] == 0) {
    std::swap(spec.a, spec.b);
  }
  const auto axis_of = [&](int id) {
    const Label& label = labels[static_cast<size_t>(id)];
    return Contraction::Axis{.size = label.size,
                             .a = label.inputs[static_cast<size_t>(spec.a)],
                             .b = label.inputs[static_cast<size_t>(spec.b)],
                             .c = label.output};
  };
  for (int id : equation.output) {
    const Contraction::Axis axis = axis_of(id);
    (axis.a != 0 && axis.b != 0 ? batch : axis.b != 0 ? n : m).push_back(axis);
  }
  for (int id : SummedLabels(equation, labels)) k.push_back(axis_of(id));
  spec.product = Contraction(std::move(batch), std::move(m), std::move(n), std::move(k));
  return spec;
}

// Any number of inputs. A tile is a range of the output's elements.
template <typename T>
class EinsumLoops : public Kernel {
  using Sum = ProductSum<T>;
  static constexpr size_t kMaxInputs = 16, kMaxAxes = 32;
  struct Axis {
    int64_t size = 1;
    std::array<int64_t, kMaxInputs> strides = {};
  };

 public:
  void Prepare(PrepareContext& ctx) override {
    inputs_ = static_cast<size_t>(ctx.num_inputs());
    if (inputs_ > kMaxInputs) ctx.Unsupported("has more than " + std::to_string(kMaxInputs) + " inputs");
    const EinsumEquation equation = ReadEquation(ctx);
    const std::vector<Label> labels = LabelsOf(ctx, equation);
    const auto add = [&](std::vector<Axis>& axes, int64_t& count, int id) {
      const Label& label = labels[static_cast<size_t>(id)];
      if (label.size == 1) return;
      Axis axis{label.size, {}};
      std::copy(label.inputs.begin(), label.inputs.end(), axis.strides.begin());
      axes.push_back(axis);
      if (__builtin_mul_overflow(count, label.size, &count)) ctx.Unsupported("sums too many products");
    };
    for (int id : equation.output) add(outer_, outputs_, id);
    for (int id : SummedLabels(equation, labels)) add(summed_, products_, id);
    if (std::max(outer_.size(), summed_.size()) > kMaxAxes) ctx.Unsupported("has too many labels");
    tiles_ = PiecesOf(outputs_, std::max<int64_t>(1, kTileProducts / std::max<int64_t>(1, products_)));
  }
  int64_t tiles() const override { return tiles_; }

  void Run(const RunContext& ctx, int64_t tile) const override {
    const Range range = PieceOf(outputs_, tiles_, tile);
    std::array<const T*, kMaxInputs> at;
    for (int64_t i = range.begin; i < range.end; ++i) {
      for (size_t input = 0; input < inputs_; ++input) at[input] = ctx.in<T>(static_cast<int>(input));
      int64_t rest = i;
      for (size_t axis = outer_.size(); axis-- > 0;) {
        const int64_t position = rest % outer_[axis].size;
        rest /= outer_[axis].size;
        for (size_t input = 0; input < inputs_; ++input) at[input] += position * outer_[axis].strides[input];
      }
      ctx.out<T>(0)[i] = static_cast<T>(SumAt(at));
    }
  }

 private:
  static constexpr int64_t kTileProducts = 100'000;

  Sum SumAt(std::array<const T*, kMaxInputs> at) const {
    std::array<int64_t, kMaxAxes> position = {};
    Sum sum = 0;
    for (int64_t i = 0; i < products_; ++i) {
      Sum product = static_cast<Sum>(*at[0]);
      for (size_t input = 1; input < inputs_; ++input) product *= static_cast<Sum>(*at[input]);
      sum += product;
      for (size_t axis = summed_.size(); axis-- > 0;) {
        const Axis& a = summed_[axis];
        if (++position[axis] < a.size) {
          for (size_t input = 0; input < inputs_; ++input) at[input] += a.strides[input];
          break;
        }
        position[axis] = 0;
        for (size_t input = 0; input < inputs_; ++input) at[input] -= (a.size - 1) * a.strides[input];
      }
    }
    return sum;
  }

  size_t inputs_ = 0;
  std::vector<Axis> outer_, summed_;
  int64_t outputs_ = 1, products_ = 1, tiles_ = 1;
};

class EinsumLoopsKernel : public ForwardingKernel {
 public:
  std::string name() const override { return "loops"; }
  void Prepare(PrepareContext& ctx) override {
    const bool known = Dispatch(NumericTypes(), ctx.dtype(0), [&](auto tag) {
      impl_ = std::make_unique<EinsumLoops<typename decltype(tag)::type>>();
    });
    if (!known) ctx.Decline("elements of type " + std::string(DataTypeName(ctx.dtype(0))));
    impl_->Prepare(ctx);
  }
};

const Operator kEinsum = {
    .name = "Einsum",
    .versions = {12, 28},
    .max_inputs = Operator::kMany,
    .infer = InferEinsum,
    .kernels = {&Make<onednn::MatMulOf<ReadEinsum>>, &Make<PanelMatMulOf<ReadEinsum>>,
                &Make<EinsumLoopsKernel>},
    .types = "T",
};
const RegisterOperator kRegister(kEinsum);

}  // namespace
}  // namespace sluice
