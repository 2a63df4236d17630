#include <re2/re2.h>

#include "kernels/ops/params.h"

// RegexFullMatch (20): whether each string as a whole matches a pattern in the syntax of RE2, which the
// standard names and whose matching takes time linear in the string whatever the pattern.

namespace sluice {
namespace {

class RegexFullMatchKernel : public Kernel {
 public:
  void Prepare(PrepareContext& ctx) override {
    if (ctx.dtype(0) != DataType::kString)
      ctx.Fail("input is " + std::string(DataTypeName(ctx.dtype(0))) + ", expected string");
    const std::string& text = ctx.attrs().String("pattern");
    RE2::Options options(RE2::Quiet);
    pattern_ = std::make_unique<RE2>(text, options);
    if (!pattern_->ok()) ctx.Fail("pattern '" + text + "': " + pattern_->error());
    count_ = NumElements(ctx.shape(0));
  }
  void Run(const RunContext& ctx, int64_t) const override {
    for (int64_t i = 0; i < count_; ++i)
      ctx.out<bool>(0)[i] = RE2::FullMatch(ctx.in<std::string>(0)[i], *pattern_);
  }

 private:
  std::unique_ptr<const RE2> pattern_;
  int64_t count_ = 0;
};

const Operator kRegexFullMatch = {
    .name = "RegexFullMatch",
    .versions = {20},
    .infer = [](InferContext& ctx) { ctx.SetOutput(0, DataType::kBool, ctx.shape(0)); },
    .kernels = {&Make<RegexFullMatchKernel>},
    .types = "string"};
const RegisterOperator kRegister(kRegexFullMatch);

}  // namespace
}  // namespace sluice
