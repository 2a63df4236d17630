#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <vector>

#include "inference.pb.h"
#include "tools/serve/classification.h"
#include "tools/serve/front_end.h"
#include "tools/serve/grpc/budget.h"
#include "tools/serve/types.h"

namespace sluice::serve::rpc {

// A ModelInferRequest as it came. The bytes of raw_input_contents are not in the message: they lie on their
// own, aligned, so that tensors can borrow them.
struct InferMessage {
  explicit InferMessage(std::shared_ptr<Budget> budget) : charge(std::move(budget)) {}

  inference::ModelInferRequest message;
  std::vector<Tensor> raw;  // UINT8 [bytes] each
  Charge charge;
};

// Throws ServeError{kInvalid, kTooLarge, kOverloaded}. What a message makes of memory is bounded by its bytes
// and the limits before it is parsed.
std::shared_ptr<InferMessage> ReadInferMessage(grpc::ByteBuffer& buffer, const Limits& limits,
                                               std::shared_ptr<Budget> budget);

// Names, inputs, wanted outputs and parameters of a request; its tensors borrow `message`, which it keeps.
// What is wanted of outputs goes to `classes`. Throws ServeError{kInvalid, kUnsupported}.
InferRequest ToInferRequest(const std::shared_ptr<const InferMessage>& message, ClassCounts& classes);

}  // namespace sluice::serve::rpc
