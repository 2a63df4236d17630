#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "graph/darknet/cfg.h"
#include "graph/darknet/weights.h"

namespace sluice::darknet {

// What a section makes: a value [n, c, h, w]; flat ones are [n, c] with h = w = 1.
struct Layer {
  ValueId value = ValueId::kNone;
  int64_t c = 0, h = 0, w = 0;
  bool flat = false;
  int64_t elems() const { return c * h * w; }
};

// A [yolo], [region] or [detection] section, in the order of the file: its output and what its numbers mean.
struct Head {
  enum class Kind { kRegion, kYolo, kGrid };
  Kind kind = Kind::kYolo;
  // [n, anchors * (5 + classes), h, w] after the head's own activations. kGrid: [n, side^2 * (classes + num *
  // 5)]: scores of the classes of all cells, then objectness of all boxes, then x, y, width, height of each.
  Layer layer;
  int64_t classes = 0;
  std::vector<float> anchors;  // width, height of each anchor used, in pixels of the input
  bool new_coords = false;     // sizes are (2 x)^2 * anchor instead of exp(x) * anchor
  bool tree = false;           // classes form a tree, whose scores are relative to their parent's
  int64_t side = 0, num = 0;   // kGrid: cells along each axis, boxes a cell
  bool squared = false;        // kGrid: sizes are x^2 of the picture's instead of x
};

// What a recurrent layer keeps from one run to the next: an input and an output of the graph.
struct State {
  std::string name;
  ValueId input = ValueId::kNone, output = ValueId::kNone;
};

// A network while its sections are read, one after the other.
struct Network {
  GraphBuilder& build;
  Weights& weights;
  bool fold = true;  // BatchNormalization into the weights before it
  Dim batch = 1;
  int64_t input_c = 0, input_w = 0, input_h = 0;
  std::string cfg_path;       // files that sections name are looked for around it
  Layer current;              // of the section before
  std::vector<Layer> layers;  // one for each section after [net]
  std::vector<Head> heads;
  std::vector<State> states;

  // The layer that `index` names in `key` of the section at hand: absolute, or relative where negative.
  const Layer& At(const Section& section, std::string_view key, int64_t index) const;
};

// Makes the layer of one kind of section. Sizes are checked; throws Error{kInvalidModel}.
using SectionBuilder = Layer (*)(Network&, const Section&);

// Makes `section` known under `name`; at static initialisation only.
struct RegisterSection {
  RegisterSection(std::initializer_list<const char*> names, SectionBuilder builder);
};
// Null for unknown sections.
SectionBuilder FindSection(const std::string& name);
std::string KnownSections();

// The layer as [n, elems].
ValueId Flat(GraphBuilder& b, const Layer& x);
// Fails unless the layer is a picture.
void WantPicture(const Section& section, const Layer& x);
// Softmax along one axis of a value of rank `rank`, whatever the opset's Softmax takes together.
ValueId SoftmaxAlong(GraphBuilder& b, ValueId x, int64_t axis, int64_t rank);

// x after the activation that "activation" of the section names ("leaky" and the like).
ValueId Activate(Network& net, const Section& section, ValueId x, std::string_view fallback);

// (in + pad - size) / stride + 1 where that is at least 1; the section fails otherwise.
int64_t OutputSize(const Section& section, int64_t in, int64_t pad, int64_t size, int64_t stride);

// y = scale (x - mean) / sqrt(variance + eps) + bias over channels, as Darknet's layers with batch_normalize
// have it.
struct Normalization {
  Tensor bias, scale, mean, variance;
};
// The statistics that follow in the weights file: scale, mean, variance. `bias` was read before.
Normalization TakeNormalization(Network& net, Tensor bias, int64_t channels);
ValueId Normalize(Network& net, ValueId x, const Normalization& norm);
// The same as scale x + shift, [channels] each.
struct Affine {
  Tensor scale, shift;
};
Affine AffineOf(const Normalization& norm);

// A blur of stride `stride` over each channel, as `antialiasing` asks for after a layer: 3x3 binomial, or 2x2
// even.
Layer Blur(Network& net, const Section& section, const Layer& x, int64_t kind, int64_t stride_x,
           int64_t stride_y);

}  // namespace sluice::darknet
