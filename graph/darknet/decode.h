#pragma once

#include "graph/darknet/network.h"

namespace sluice::darknet {

struct DecodeOptions {
  float threshold = 0.25f;  // of objectness times class score
  float nms = 0.45f;        // overlap of two boxes of a class from which the lesser is dropped
  int64_t most_per_class = 200;
};

// What a detector's heads mean, of standard operators alone. Outputs for the first picture of the batch, best
// first within each class: `boxes` [N, 4], left, top, right, bottom in pixels of the network's input, clipped
// to it; `scores` [N]; `classes` [N] int64.
struct Decoded {
  ValueId boxes, scores, classes;
};
Decoded DecodeHeads(Network& net, const DecodeOptions& options);

// Boxes [n, K, 4] (left, top, right, bottom in pixels) and scores [n, K, classes] (objectness times class
// score) of all heads, before any suppression.
struct Candidates {
  ValueId boxes, scores;
};
Candidates CandidatesOf(Network& net);

}  // namespace sluice::darknet
