#pragma once

#include "kernels/fold.h"
#include "kernels/kernel.h"
#include "kernels/reduction.h"

namespace sluice {

// What is done to a folded value in the end.
enum class Finish { kNone, kMean, kSqrt, kLog };

// Folds input 0 along axes into output 0, in any layout, each result from all elements of a box: the base of
// the reductions and of the pools over whole planes. All numeric types; maximum and minimum of bool too.
class FoldKernel : public Kernel {
 public:
  int64_t tiles() const override { return reduction_.tiles(); }
  void Run(const RunContext& ctx, int64_t tile) const override { run_(reduction_, finish_, ctx, tile); }

 protected:
  // `reduced` names the axes of input 0 that are folded. Output 0 lacks them or has size 1 there.
  void PrepareFold(PrepareContext& ctx, Fold fold, Finish finish, const std::vector<bool>& reduced);

 private:
  template <Fold kFold, typename Types>
  bool ChooseType(Types types, DataType type);
  bool Choose(Fold fold, DataType type);

  Reduction reduction_;
  Finish finish_ = Finish::kNone;
  void (*run_)(const Reduction&, Finish, const RunContext&, int64_t) = nullptr;
};

}  // namespace sluice
