// Requests as the HTTP server decodes them: the first byte chooses the headers, the next two where the JSON
// ends.
#include "sluice/error.h"
#include "tools/serve/http/infer_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::serve;
  if (size < 3) return 0;
  Limits limits;
  limits.max_request_bytes = 1 << 20;
  limits.max_inflight_bytes = 8 << 20;
  HttpRequest http;
  const size_t json_bytes = data[1] | data[2] << 8;
  if ((data[0] & 1) != 0)
    http.headers.emplace_back("inference-header-content-length", std::to_string(json_bytes));
  if ((data[0] & 2) != 0)
    http.headers.emplace_back("content-encoding", (data[0] & 4) != 0 ? "gzip" : "deflate");
  http.body = std::make_shared<Body>(std::make_shared<ByteBudget>(limits.max_inflight_bytes));
  http.body->Append({reinterpret_cast<const char*>(data) + 3, size - 3}, size);
  try {
    DecodedInfer decoded = DecodeInfer(http, limits);
    // What was decoded can be answered.
    InferResponse response;
    for (InferInput& input : decoded.request.inputs)
      response.outputs.emplace_back(input.name, std::move(input.tensor));
    EncodeInfer(response, decoded.form);
  } catch (const ServeError& error) {
    if (*error.what() == '\0') std::abort();
  }
  return 0;
}
