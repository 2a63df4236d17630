#pragma once

#include <map>
#include <string>

#include "tools/serve/classification.h"
#include "tools/serve/front_end.h"
#include "tools/serve/http/message.h"
#include "tools/serve/types.h"

namespace sluice::serve {

// How a client wants its answer.
struct ReplyForm {
  bool binary = false;                         // outputs that it does not name
  std::map<std::string, bool> binary_outputs;  // ... and that it names
  ClassCounts classes;
  bool picture = false;  // it posted a picture: boxes are all that it wants
};

struct DecodedInfer {
  InferRequest request;
  ReplyForm form;
};

// The body of an infer call: JSON, JSON and tensors' bytes, raw bytes of one tensor, or a picture, compressed
// or not. Tensors borrow the body where they can. Model, ids and times are left to the caller. Throws
// ServeError{kInvalid, kTooLarge, kOverloaded, kUnsupported}.
DecodedInfer DecodeInfer(const HttpRequest& http, const Limits& limits);

// Outputs with classes have been made so. Throws ServeError{kInvalid} for outputs that JSON cannot hold.
HttpReply EncodeInfer(const InferResponse& response, const ReplyForm& form);

}  // namespace sluice::serve
