// ONNX models.
#include "graph/import.h"
#include "tests/fuzz/readers/read.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::test::Read([&] { return sluice::ImportOnnxBytes(std::as_bytes(std::span(data, size)), nullptr); });
  return 0;
}
