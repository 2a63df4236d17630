#include <algorithm>

#include "graph/darknet/softmax.h"

// [yolo] and [region]: the last layers of detectors. Their output keeps the layout of the convolution before,
// [n, anchors * (5 + classes), h, w], with the activations of Darknet's forward pass applied.

namespace sluice::darknet {
namespace {

struct Split {
  ValueId xy, wh, objectness, classes;
};

// [n, anchors, 5 + classes, h * w] cut along its third axis.
Split CutEntries(Network& net, const Layer& x, int64_t anchors, int64_t classes) {
  GraphBuilder& b = net.build;
  const ValueId entries = b.Reshape(x.value, {0, anchors, 5 + classes, x.h * x.w});
  const std::vector<ValueId> parts = b.Split(entries, 2, {2, 2, 1, classes});
  return {parts[0], parts[1], parts[2], parts[3]};
}

Layer Joined(Network& net, const Layer& x, const Split& parts, int64_t anchors, int64_t classes) {
  GraphBuilder& b = net.build;
  Layer y = x;
  y.value = b.Reshape(b.Concat({parts.xy, parts.wh, parts.objectness, parts.classes}, 2),
                      {0, anchors * (5 + classes), x.h, x.w});
  return y;
}

constexpr int64_t kMostClasses = 1 << 20, kMostAnchors = 1 << 10, kMostCells = 1 << 24;

void CheckChannels(const Section& section, const Layer& x, int64_t anchors, int64_t classes) {
  const int64_t expected = anchors * (5 + classes);
  if (x.flat || x.c != expected) {
    section.Fail("classes", std::to_string(anchors) + " anchors of 5 + " + std::to_string(classes) +
                                " entries need " + std::to_string(expected) +
                                " channels, the layer before has " + std::to_string(x.c));
  }
  if (x.h > kMostCells / x.w) section.Fail("", "expected at most " + std::to_string(kMostCells) + " cells");
}

void IgnoreTraining(const Section& section) {
  section.Ignore({"jitter",
                  "ignore_thresh",
                  "truth_thresh",
                  "random",
                  "resize",
                  "max",
                  "map",
                  "counters_per_class",
                  "label_smooth_eps",
                  "objectness_smooth",
                  "iou_thresh",
                  "iou_normalizer",
                  "obj_normalizer",
                  "cls_normalizer",
                  "delta_normalizer",
                  "iou_loss",
                  "iou_thresh_kind",
                  "nms_kind",
                  "beta_nms",
                  "max_delta",
                  "focal_loss",
                  "show_details",
                  "rescore",
                  "object_scale",
                  "noobject_scale",
                  "class_scale",
                  "coord_scale",
                  "mask_scale",
                  "absolute",
                  "thresh",
                  "bias_match",
                  "classfix",
                  "embedding_layer",
                  "track_history_size",
                  "sim_thresh",
                  "dets_for_track",
                  "dets_for_show",
                  "track_ciou_norm",
                  "scale_wh"});
}

// Anchor sizes of the masked anchors.
std::vector<float> MaskedAnchors(const Section& section, const std::vector<int64_t>& mask,
                                 const std::vector<float>& anchors) {
  std::vector<float> used;
  for (int64_t index : mask) {
    if (index < 0 || static_cast<size_t>(index) >= anchors.size() / 2) {
      section.Fail("mask", "expected indices of " + std::to_string(anchors.size() / 2) + " anchors, found " +
                               std::to_string(index));
    }
    used.push_back(anchors[static_cast<size_t>(index) * 2]);
    used.push_back(anchors[static_cast<size_t>(index) * 2 + 1]);
  }
  return used;
}

std::vector<float> ReadAnchors(const Section& section, int64_t count) {
  std::vector<float> anchors = section.Floats("anchors");
  if (anchors.size() < static_cast<size_t>(2 * count)) {
    section.Fail("anchors", "expected " + std::to_string(2 * count) + " numbers, found " +
                                std::to_string(anchors.size()));
  }
  anchors.resize(static_cast<size_t>(2 * count));
  return anchors;
}

Layer Yolo(Network& net, const Section& section) {
  const Layer x = net.current;
  const int64_t classes = section.Int("classes", 20, 1, kMostClasses);
  const int64_t num = section.Int("num", 1, 1, kMostAnchors);
  std::vector<int64_t> mask = section.Ints("mask");
  if (mask.empty()) {
    for (int64_t i = 0; i < num; ++i) mask.push_back(i);
  }
  Head head;
  head.kind = Head::Kind::kYolo;
  head.classes = classes;
  head.anchors = MaskedAnchors(section, mask, ReadAnchors(section, num));
  head.new_coords = section.Int("new_coords", 0) != 0;
  const float scale = section.Float("scale_x_y", 1.0f);
  IgnoreTraining(section);
  const auto anchors = static_cast<int64_t>(mask.size());
  CheckChannels(section, x, anchors, classes);

  GraphBuilder& b = net.build;
  Split parts = CutEntries(net, x, anchors, classes);
  // With new_coords the convolution before has applied the sigmoid.
  if (!head.new_coords) {
    parts.xy = b.Op("Sigmoid", {parts.xy});
    parts.objectness = b.Op("Sigmoid", {parts.objectness});
    parts.classes = b.Op("Sigmoid", {parts.classes});
  }
  if (scale != 1.0f) {
    parts.xy = b.Op("Add", {b.Op("Mul", {parts.xy, b.Scalar("scale_x_y", scale)}),
                            b.Scalar("shift", -0.5f * (scale - 1))});
  }
  head.layer = Joined(net, x, parts, anchors, classes);
  net.heads.push_back(head);
  return head.layer;
}

Layer Region(Network& net, const Section& section) {
  const Layer x = net.current;
  const int64_t classes = section.Int("classes", 20, 1, kMostClasses);
  const int64_t num = section.Int("num", 1, 1, kMostAnchors);
  if (section.Int("coords", 4) != 4) section.Fail("coords", "expected 4");
  if (section.Int("background", 0) != 0) section.Fail("background", "not supported");
  const bool softmax = section.Int("softmax", 0) != 0;
  section.Ignore({"log", "sqrt"});
  IgnoreTraining(section);
  CheckChannels(section, x, num, classes);
  Head head;
  head.kind = Head::Kind::kRegion;
  head.classes = classes;
  // Stated in cells of the output.
  head.anchors = section.Has("anchors") ? ReadAnchors(section, num)
                                        : std::vector<float>(static_cast<size_t>(2 * num), 0.5f);
  for (size_t i = 0; i < head.anchors.size(); ++i) {
    head.anchors[i] *= static_cast<float>(i % 2 == 0 ? net.input_w : net.input_h) /
                       static_cast<float>(i % 2 == 0 ? x.w : x.h);
  }

  GraphBuilder& b = net.build;
  Split parts = CutEntries(net, x, num, classes);
  parts.xy = b.Op("Sigmoid", {parts.xy});
  parts.objectness = b.Op("Sigmoid", {parts.objectness});
  head.tree = section.Has("tree");
  if (head.tree) {
    parts.classes =
        GroupedSoftmax(b, parts.classes, num, x.h * x.w, ReadTreeGroups(net, section, "tree", classes));
  } else if (softmax) {
    parts.classes = SoftmaxAlong(b, parts.classes, 2, 4);
  } else {
    parts.classes = b.Op("Sigmoid", {parts.classes});
  }
  head.layer = Joined(net, x, parts, num, classes);
  net.heads.push_back(head);
  return head.layer;
}

const RegisterSection kYolo({"yolo"}, Yolo);
const RegisterSection kRegion({"region"}, Region);

}  // namespace
}  // namespace sluice::darknet
