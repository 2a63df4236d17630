#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sluice/session.h"
#include "tools/preprocess.h"
#include "tools/serve/types.h"

namespace sluice::serve {

constexpr int kLastPriority = 100;

// What model.json beside a model says; every member has a default, so that no file is needed.
struct ModelConfig {
  int64_t max_batch_size = 0;      // 0: requests run as they come
  int64_t max_delay_us = 2000;     // that a request may wait for others; less where that saves nothing
  int64_t max_queue = 256;         // requests that may wait; one more is kOverloaded
  int64_t default_timeout_us = 0;  // of requests that state none; 0: none
  int64_t max_timeout_us = 0;      // 0: any
  int default_priority = 10;       // of requests that state none: 1, which runs first, to kLastPriority
  bool warm_up = true;             // one run on zeros of the smallest shapes before it serves
  std::map<std::string, Shape> shapes = {};  // of inputs, in place of those that the model declares; -1: open
  bool pictures = false;           // BYTES [n] of picture files are accepted for the picture input
  tools::PictureOptions picture = {};  // how a picture becomes the input
  bool letterbox = false;          // fitted with its proportions kept; otherwise stretched
  // Where model.json states neither pictures nor detect: both, if the model is a known detector.
  bool find_detector = true;
  bool detect = false;             // pictures are answered with boxes (known detectors only)
  float threshold = 0.25f, nms = 0.45f;
  std::vector<std::string> labels = {};  // of classes; empty: those in the model's metadata
};

// One version of a model, loaded and warm. Immutable and thread-safe; whoever holds a pointer may run it,
// also after the repository has put another in its place.
struct Model {
  Session session;
  ModelConfig config;
  // Lists the outputs that tensors of the protocol can carry; the session may have others. `versions` is as it
  // was when this one was loaded.
  ModelInfo info;
};

}  // namespace sluice::serve
