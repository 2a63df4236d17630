#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/serve/model.h"
#include "tools/serve/types.h"

namespace sluice::serve {

// What a request asks of a model, once it is known to fit.
struct CheckedRequest {
  // One a model's input, in the model's order; an empty tensor for an optional input that is absent.
  std::vector<Tensor> inputs;
  // The input that holds picture files instead of what the model takes: BYTES [n].
  std::optional<size_t> picture;
  // What the request names, in its order, each once; empty: all.
  std::vector<std::string> outputs;
  int64_t rows = 0;        // the common first size of all inputs; 0 where they have none
  int64_t bytes = 0;       // that the inputs hold
  int64_t timeout_us = 0;  // 0: none
  int priority = 0;        // from 1, which runs first
  bool profile = false;
  int64_t top = 0;  // best classes wanted; 0: none
};

// Names, datatypes, shapes and parameters against the model; raw requests get their shape, pictures stay
// files. The tensors share the request's memory. Throws ServeError{kInvalid, kUnsupported} with a text for
// the client.
CheckedRequest CheckRequest(const Model& model, const InferRequest& request);

// Whether the protocol has a tensor for an input or output. Outputs that have none are left out where a
// request names no outputs.
bool IsCarried(const ValueInfo& info);

// The common first size of tensors; 0 where they have none.
int64_t CommonRows(std::span<const Tensor> tensors);
// That tensors hold, strings included.
int64_t BytesOf(std::span<const Tensor> tensors);

// Whether requests can share an execution: the configuration says so, and the first size of every input and
// output is open, or an output's shape is not known.
bool CanBatch(const Model& model);

// The names of outputs that a picture sent to a detector has beside those of the model.
constexpr const char* kDetectionOutputs[] = {"boxes", "scores", "labels", "pictures"};
// Of the best classes.
constexpr const char* kTopOutputs[] = {"top_scores", "top_indices", "top_labels"};

}  // namespace sluice::serve
