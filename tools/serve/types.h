#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "sluice/session.h"

// What the parts of the server say to one another: protocols (http/, grpc/) turn bytes into these and back,
// the service behind service.h does the work. Nothing here knows of a protocol.
namespace sluice::serve {

using Clock = std::chrono::steady_clock;

// Why a request has no answer. The protocols map it: HTTP status / gRPC status.
enum class Reason {
  kInvalid,          // 400 / INVALID_ARGUMENT: the client's names, shapes, types or bytes do not fit
  kUnauthenticated,  // 401 / UNAUTHENTICATED: no key, or one that is not known
  kNotFound,         // 404 / NOT_FOUND: no such model or version
  kTimeout,          // 504 / DEADLINE_EXCEEDED
  kCancelled,        // 499 / CANCELLED: the client went away
  kTooLarge,         // 413 / RESOURCE_EXHAUSTED: beyond a limit on sizes
  kRateLimited,      // 429 / RESOURCE_EXHAUSTED: beyond the rate of the key
  kOverloaded,       // 503 / RESOURCE_EXHAUSTED: the queue is full
  kUnavailable,  // 503 / UNAVAILABLE: the model is loading, failed to load, or the server is shutting down
  kUnsupported,  // 501 / UNIMPLEMENTED
  kInternal,     // 500 / INTERNAL
};

// What the client may read is in what(): nothing of paths, addresses or the inside of the server.
class ServeError : public std::runtime_error {
 public:
  ServeError(Reason reason, const std::string& message, int retry_after_s = 0)
      : std::runtime_error(message), reason_(reason), retry_after_s_(retry_after_s) {}
  Reason reason() const { return reason_; }
  // Seconds after which another try makes sense (Retry-After); 0: none is stated.
  int retry_after_s() const { return retry_after_s_; }

 private:
  Reason reason_;
  int retry_after_s_;
};

using Parameter = std::variant<bool, int64_t, uint64_t, double, std::string>;
using Parameters = std::map<std::string, Parameter>;

struct InferInput {
  std::string name;  // "" in a raw request: the model's only input
  // Of the datatype and shape that the client states. BYTES are strings. May borrow memory that
  // InferRequest::keep_alive holds. The service checks it against the model.
  Tensor tensor;
  Parameters parameters;
};

struct InferRequest {
  std::string model;
  std::string version;      // "": the newest that serves
  std::string id;           // the client's, echoed; may be ""
  std::string request_id;   // the server's own, for logs; the protocol makes it
  std::string traceparent;  // W3C, as accepted or made; goes into logs and on to the answer
  std::string client;       // name of the API key or of the certificate, "" without; for logs and limits
  std::vector<InferInput> inputs;
  std::vector<std::string> outputs;  // wanted; empty: all
  Parameters parameters;             // timeout (us), priority, profile: read by the service
  // The shape of a raw request's only input is for the service to find: its tensor is UINT8 [bytes].
  bool raw = false;
  // A plain picture file was posted: the only input is BYTES [1]; a detector answers with boxes.
  bool picture = false;
  Clock::time_point received = Clock::now();  // first byte seen
  std::optional<Clock::time_point> deadline;  // from the protocol (gRPC); the service adds its own
  std::shared_ptr<std::atomic<bool>> cancelled =
      std::make_shared<std::atomic<bool>>(false);  // set when the client is gone
  std::shared_ptr<const void> keep_alive;          // bytes that input tensors borrow
};

// Where a request spent its time.
struct Timing {
  int64_t queue_ns = 0;
  int64_t batch_ns = 0;  // assembling and taking apart batches, pictures decoded and prepared
  int64_t compute_ns = 0;
  int64_t batch_size = 1;  // of the execution that it was part of
};

struct DetectedBox {
  std::string label;
  float score = 0;
  float box[4] = {};  // left, top, right, bottom in pixels of the picture as it was sent
};

struct InferResponse {
  std::string model;
  std::string version;
  std::string id;
  std::vector<std::pair<std::string, Tensor>> outputs;  // in the order wanted, or the model's
  Parameters parameters;
  Timing timing;
  // Of a picture sent to a detector: the boxes, also as outputs `boxes` FP32 [n, 4], `scores` FP32 [n],
  // `labels` BYTES [n].
  std::optional<std::vector<DetectedBox>> detections;
  std::vector<StepProfile> profile;  // where the request asked for it
};

// A model's input or output as clients see it.
struct TensorInfo {
  std::string name;
  std::string datatype;  // "FP32", see datatypes.h
  Shape shape;           // -1: open
};

struct ModelInfo {
  std::string name;
  std::vector<std::string> versions;  // those that serve, ascending
  std::string version;                // the one described
  std::vector<TensorInfo> inputs, outputs;
  std::map<std::string, std::string> properties = {};  // the model's metadata
  int64_t max_batch_size = 0;                     // 0: requests are not batched
  int64_t max_delay_us = 0;                       // that a request may wait for others
  bool takes_pictures = false;                    // a plain picture may be posted
  bool detects = false;                           // ... and is answered with boxes
  std::vector<std::string> labels = {};
};

struct Duration {
  uint64_t count = 0;
  uint64_t ns = 0;
};

struct BatchStatistics {
  uint64_t batch_size = 0;
  Duration compute_input, compute_infer, compute_output;
};

struct ModelStatistics {
  std::string name, version;
  uint64_t last_inference_ms = 0;  // since 1970
  uint64_t inference_count = 0, execution_count = 0;
  Duration success, fail, queue, compute_input, compute_infer, compute_output;
  std::vector<BatchStatistics> batches;
};

struct IndexEntry {
  std::string name, version;
  std::string state;   // "READY", "LOADING", "UNLOADING", "UNAVAILABLE"
  std::string reason;  // why it is not ready, or why a newer state of it could not be loaded
};

}  // namespace sluice::serve
