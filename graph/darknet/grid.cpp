#include "graph/darknet/network.h"

// [detection]: the last section of the first YOLO. Its output is what the [connected] section before makes,
// for a grid of side x side cells: scores of the classes of each cell, then objectness of each box, then x
// and y within the cell and the sizes of each box.

namespace sluice::darknet {
namespace {

Layer Detection(Network& net, const Section& section) {
  const Layer x = net.current;
  Head head;
  head.kind = Head::Kind::kGrid;
  constexpr int64_t kMostCount = 1 << 12;
  head.classes = section.Int("classes", 1, 1, kMostCount);
  head.num = section.Int("num", 1, 1, kMostCount);
  head.side = section.Int("side", 7, 1, kMostCount);
  head.squared = section.Int("sqrt", 0) != 0;
  if (section.Int("coords", 1) != 4) section.Fail("coords", "expected 4");
  if (section.Int("reorg", 0) != 0) section.Fail("reorg", "not supported");
  const bool softmax = section.Int("softmax", 0) != 0;
  section.Ignore({"jitter", "resize", "random", "max", "forced", "rescore", "object_scale", "noobject_scale",
                  "class_scale", "coord_scale"});
  const int64_t cells = head.side * head.side, expected = cells * (head.classes + 5 * head.num);
  if (x.elems() != expected) {
    section.Fail("side", std::to_string(cells) + " cells of " + std::to_string(head.classes) +
                             " classes and " + std::to_string(head.num) + " boxes need " +
                             std::to_string(expected) + " numbers, the layer before has " +
                             std::to_string(x.elems()));
  }
  GraphBuilder& b = net.build;
  ValueId value = Flat(b, x);
  if (softmax) {
    const int64_t scores = cells * head.classes;
    const std::vector<ValueId> parts = b.Split(value, 1, {scores, expected - scores});
    const ValueId rows = SoftmaxAlong(b, b.Reshape(parts[0], {0, cells, head.classes}), 2, 3);
    value = b.Concat({b.Reshape(rows, {0, scores}), parts[1]}, 1);
  }
  head.layer = {value, expected, 1, 1, true};
  net.heads.push_back(head);
  return head.layer;
}

const RegisterSection kDetection({"detection"}, Detection);

}  // namespace
}  // namespace sluice::darknet
