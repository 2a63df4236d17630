#include "graph/darknet/decode.h"

#include "sluice/error.h"

namespace sluice::darknet {
namespace {

// Positions of the cells, [1, 1, 2, h * w]: x, then y.
Tensor Cells(const Layer& layer) {
  Tensor cells(DataType::kFloat, {1, 1, 2, layer.h * layer.w});
  auto values = cells.mutable_values<float>();
  for (int64_t i = 0; i < layer.h * layer.w; ++i) {
    values[static_cast<size_t>(i)] = static_cast<float>(i % layer.w);
    values[static_cast<size_t>(layer.h * layer.w + i)] = static_cast<float>(i / layer.w);
  }
  return cells;
}

// Left, top, right, bottom of centres and halves of sizes whose two numbers are along `axis`.
ValueId Corners(GraphBuilder& b, ValueId center, ValueId half_size, int64_t axis) {
  return b.Concat({b.Op("Sub", {center, half_size}), b.Op("Add", {center, half_size})}, axis);
}

Candidates CandidatesOfGrid(Network& net, const Head& head) {
  GraphBuilder& b = net.build;
  const int64_t cells = head.side * head.side, boxes = cells * head.num;
  const std::vector<ValueId> parts = b.Split(head.layer.value, 1, {cells * head.classes, boxes, 4 * boxes});
  const ValueId scores = b.Op("Mul", {b.Reshape(parts[0], {0, cells, 1, head.classes}),
                                      b.Reshape(parts[1], {0, cells, head.num, 1})});
  const std::vector<ValueId> numbers = b.Split(b.Reshape(parts[2], {0, cells, head.num, 4}), 3, {2, 2});
  Tensor corners(DataType::kFloat, {1, cells, 1, 2});  // of the cells
  for (int64_t i = 0; i < cells; ++i) {
    corners.mutable_values<float>()[static_cast<size_t>(2 * i)] = static_cast<float>(i % head.side);
    corners.mutable_values<float>()[static_cast<size_t>(2 * i + 1)] = static_cast<float>(i / head.side);
  }
  const auto w = static_cast<float>(net.input_w), h = static_cast<float>(net.input_h),
             side = static_cast<float>(head.side);
  const ValueId center = b.Op("Mul", {b.Op("Add", {numbers[0], b.Constant("cells", std::move(corners))}),
                                      b.Floats("steps", {w / side, h / side})});
  const ValueId sizes = head.squared ? b.Op("Mul", {numbers[1], numbers[1]}) : numbers[1];
  const ValueId half_size = b.Op("Mul", {sizes, b.Floats("half_sizes", {0.5f * w, 0.5f * h})});
  return {b.Reshape(Corners(b, center, half_size, 3), {0, boxes, 4}),
          b.Reshape(scores, {0, boxes, head.classes})};
}

Candidates CandidatesOfHead(Network& net, const Head& head) {
  if (head.kind == Head::Kind::kGrid) return CandidatesOfGrid(net, head);
  GraphBuilder& b = net.build;
  const Layer& layer = head.layer;
  const auto anchors = static_cast<int64_t>(head.anchors.size() / 2), cells = layer.h * layer.w;
  const ValueId entries = b.Reshape(layer.value, {0, anchors, 5 + head.classes, cells});
  const std::vector<ValueId> parts = b.Split(entries, 2, {2, 2, 1, head.classes});

  // Pixels a cell.
  const auto step_x = static_cast<float>(net.input_w) / static_cast<float>(layer.w);
  const auto step_y = static_cast<float>(net.input_h) / static_cast<float>(layer.h);
  const ValueId steps =
      b.Constant("steps", Tensor::From<float>({1, 1, 2, 1}, std::vector<float>{step_x, step_y}));
  const ValueId center = b.Op("Mul", {b.Op("Add", {parts[0], b.Constant("cells", Cells(layer))}), steps});
  std::vector<float> half = head.anchors;
  for (float& size : half) size *= 0.5f * (head.new_coords ? 4.0f : 1.0f);
  const ValueId half_anchors = b.Constant("half_anchors", Tensor::From<float>({1, anchors, 2, 1}, half));
  const ValueId growth = head.new_coords ? b.Op("Mul", {parts[1], parts[1]}) : b.Op("Exp", {parts[1]});
  const ValueId half_size = b.Op("Mul", {growth, half_anchors});

  // [n, anchors, entries, cells] to [n, anchors * cells, entries].
  const auto rows = [&](ValueId value, int64_t width) {
    return b.Reshape(b.Transpose(value, {0, 1, 3, 2}), {0, anchors * cells, width});
  };
  return {rows(Corners(b, center, half_size, 2), 4), rows(b.Op("Mul", {parts[2], parts[3]}), head.classes)};
}

}  // namespace

Candidates CandidatesOf(Network& net) {
  if (net.heads.empty()) {
    throw Error(
        ErrorCode::kInvalidModel,
        "the network has no [yolo], [region] or [detection] section, so there are no boxes to decode");
  }
  std::vector<ValueId> boxes, scores;
  for (const Head& head : net.heads) {
    if (head.tree) {
      throw Error(
          ErrorCode::kUnsupported,
          "the classes of [region] form a tree, whose scores are not decoded; convert without decoding");
    }
    if (head.classes != net.heads[0].classes) {
      throw Error(ErrorCode::kInvalidModel, "the heads have " + std::to_string(net.heads[0].classes) +
                                                " and " + std::to_string(head.classes) +
                                                " classes, expected the same number");
    }
    const Candidates part = CandidatesOfHead(net, head);
    boxes.push_back(part.boxes);
    scores.push_back(part.scores);
  }
  if (boxes.size() == 1) return {boxes[0], scores[0]};
  return {net.build.Concat(std::move(boxes), 1), net.build.Concat(std::move(scores), 1)};
}

Decoded DecodeHeads(Network& net, const DecodeOptions& options) {
  GraphBuilder& b = net.build;
  b.SetPrefix("decode");
  const Candidates all = CandidatesOf(net);
  const ValueId limits =
      b.Floats("limits", {static_cast<float>(net.input_w), static_cast<float>(net.input_h),
                          static_cast<float>(net.input_w), static_cast<float>(net.input_h)});
  const ValueId scores = b.Transpose(all.scores, {0, 2, 1});  // [n, classes, K]
  const ValueId kept =
      b.Op("NonMaxSuppression", {all.boxes, scores, b.Ints("most", {options.most_per_class}),
                                 b.Floats("nms", {options.nms}), b.Floats("threshold", {options.threshold})});
  // Rows of picture, class, box; a batch is decoded picture by picture by whoever needs more than the first.
  const ValueId picture = b.Slice(kept, {0}, {1}, {1});
  const ValueId first =
      b.Op("Compress", {kept, b.Squeeze(b.Op("Equal", {picture, b.Ints("first", {0})}), {1})},
           {{"axis", int64_t{0}}});
  const std::vector<ValueId> columns = b.Split(first, 1, {1, 1, 1});
  const ValueId box_index = b.Concat({columns[0], columns[2]}, 1);
  Decoded decoded;
  decoded.boxes = b.Op("Min", {b.Op("Relu", {b.Op("GatherND", {all.boxes, box_index})}), limits});
  decoded.scores = b.Op("GatherND", {scores, first});
  decoded.classes = b.Squeeze(columns[1], {1});
  return decoded;
}

}  // namespace sluice::darknet
