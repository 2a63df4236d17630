#include "tests/kernels/layout_test_util.h"

// Operators that work in the layout in which their inputs come must agree with themselves on plain tensors.

namespace sluice::test {
namespace {

TEST(Layouts, MovingAgreesInAllOfThem) {
  const Attribute channels = int64_t{1};
  for (Layout layout : {Layout::kChannelsLast, Layout::kBlocked8, Layout::kBlocked16}) {
    const Layout odd = layout == Layout::kChannelsLast ? layout : Layout::kPlain;
    ExpectSameInLayout(
        {"Concat", 13, {{"axis", channels}}, {Random({2, 16, 3, 2}, 1), Random({2, 32, 3, 2}, 2)}}, layout,
        layout);
    // Only the last part may leave its block unfilled.
    ExpectSameInLayout(
        {"Concat", 13, {{"axis", channels}}, {Random({2, 16, 3, 2}, 1), Random({2, 5, 3, 2}, 2)}}, layout,
        layout);
    ExpectSameInLayout(
        {"Concat", 13, {{"axis", channels}}, {Random({2, 5, 3, 2}, 1), Random({2, 16, 3, 2}, 2)}}, layout,
        odd);
    ExpectSameInLayout(
        {"Concat", 13, {{"axis", int64_t{3}}}, {Random({2, 5, 3, 2}, 1), Random({2, 5, 3, 4}, 2)}}, layout,
        layout);
    ExpectSameInLayout({"Split", 13, {{"axis", channels}}, {Random({2, 32, 3, 2}, 3)}, 2}, layout, layout);
    ExpectSameInLayout(
        {"Slice",
         13,
         {},
         {Random({1, 48, 5, 4}, 4), I({2}, {16, 3}), I({2}, {48, 0}), I({2}, {1, 2}), I({2}, {1, -2})}},
        layout, layout);
    ExpectSameInLayout({"Slice", 13, {}, {Random({1, 48, 5, 4}, 4), I({1}, {3}), I({1}, {48}), I({1}, {1})}},
                       layout, odd);
    for (const char* mode : {"nearest", "linear", "cubic"}) {
      ExpectSameInLayout({"Resize",
                          13,
                          {{"mode", std::string(mode)}},
                          {Random({2, 5, 3, 4}, 5), Tensor(), F({4}, {1, 1, 2, 1.5f})}},
                         layout, layout);
    }
  }
}

}  // namespace
}  // namespace sluice::test
