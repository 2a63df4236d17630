// Darknet configurations, with few made-up weights. The first byte chooses how they are converted.
#include "graph/darknet/import.h"
#include "tests/fuzz/readers/read.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  sluice::DarknetOptions options;
  options.decode = (data[0] & 1) != 0;
  options.fold = (data[0] & 2) != 0;
  options.batch = (data[0] & 4) != 0 ? -1 : 1;
  options.opset = (data[0] & 8) != 0 ? 9 : 20;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr size_t kMostWeights = 1 << 20;
  sluice::test::Read([&] {
    return sluice::ImportDarknetText(text, "net.cfg", sluice::darknet::Weights(1, "net.cfg", kMostWeights),
                                     options);
  });
  return 0;
}
