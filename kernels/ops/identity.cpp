#include "kernels/kernel.h"

// Identity (1, 13, 14, 16, 19, 21, 23, 24, 25) and Dropout at inference time without mask are copies of
// the value, whatever it is.

namespace sluice {
namespace {

class IdentityKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (ctx.output_known(0)) ctx.ShareOutput(0, 0);
  }
  void Run(const RunContext& ctx, int64_t) const override { ctx.SetOutput(0, ctx.value(0)); }
};

const Operator kIdentity = {
    .name = "Identity",
    .versions = {1, 13, 14, 16, 19, 21, 23, 24, 25},
    .infer = InferSameAsFirst,
    .kernels = {&Make<IdentityKernel>},
    .types = "any",
};
const RegisterOperator kRegister(kIdentity);

}  // namespace
}  // namespace sluice
