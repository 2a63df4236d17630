// Stand-ins for the operators that readers look up, without kernels: all that seeds and importers use, of
// every version, with outputs of the first input's type. What they compute and infer is tested elsewhere.
#include <deque>

#include "graph/operator.h"

namespace sluice {
namespace {

void InferUnknown(InferContext& ctx) {
  for (int i = 0; i < ctx.num_outputs(); ++i) {
    if (ctx.has_input(0)) ctx.SetUnknownShape(i, ctx.dtype(0));
  }
}

struct RegisterAll {
  RegisterAll() {
    static std::deque<Operator> operators;
    for (const char* name : {"Abs",
                             "Add",
                             "AveragePool",
                             "BatchNormalization",
                             "Cast",
                             "Clip",
                             "Compress",
                             "Concat",
                             "Constant",
                             "Conv",
                             "ConvTranspose",
                             "DepthToSpace",
                             "Div",
                             "Elu",
                             "Equal",
                             "Exp",
                             "Flatten",
                             "Floor",
                             "Gather",
                             "GatherND",
                             "Gelu",
                             "Gemm",
                             "GlobalAveragePool",
                             "Identity",
                             "If",
                             "LeakyRelu",
                             "Loop",
                             "MatMul",
                             "Max",
                             "MaxPool",
                             "Min",
                             "Mish",
                             "Mul",
                             "NonMaxSuppression",
                             "Pad",
                             "Pow",
                             "PRelu",
                             "ReduceL2",
                             "ReduceMax",
                             "ReduceSum",
                             "Relu",
                             "Reshape",
                             "Resize",
                             "Scan",
                             "Selu",
                             "Shape",
                             "Sigmoid",
                             "Slice",
                             "Softmax",
                             "Softplus",
                             "SpaceToDepth",
                             "Split",
                             "Squeeze",
                             "Sub",
                             "Sum",
                             "Tanh",
                             "Transpose",
                             "Unsqueeze",
                             "Upsample",
                             "Where"}) {
      Operator op;
      op.name = name;
      for (int version = 1; version <= 26; ++version) op.versions.push_back(version);
      op.min_inputs = 0;
      op.max_inputs = op.max_outputs = Operator::kMany;
      op.infer = InferUnknown;
      op.takes_post_ops = op.name == "Conv" || op.name == "MatMul";
      operators.push_back(std::move(op));
      RegisterOperator(operators.back());
    }
  }
};
const RegisterAll kAll;

}  // namespace
}  // namespace sluice
