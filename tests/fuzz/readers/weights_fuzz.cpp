// Darknet weights for a few small networks. The first byte chooses one and how it is converted.
#include "graph/darknet/import.h"
#include "tests/fuzz/readers/read.h"

namespace {

constexpr const char* kNets[] = {
    "[net]\nwidth=8\nheight=8\nchannels=2\n[convolutional]\nbatch_normalize=1\nfilters=2\nsize=3\npad=1\n"
    "activation=leaky\n[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nanchors=1,2\nclasses="
    "1\n",
    "[net]\nwidth=3\nheight=3\nchannels=1\n[connected]\noutput=2\nbatch_normalize=1\n[connected]\noutput=1\n",
    "[net]\nwidth=4\nheight=4\nchannels=2\n[deconvolutional]\nfilters=2\nsize=2\nstride=2\nbatch_normalize="
    "1\n"
    "[convolutional]\nfilters=2\n[shortcut]\nfrom=-2\nweights_type=per_channel\n[batchnorm]\n",
    "[net]\ninputs=3\n[gru]\noutput=2\n[lstm]\noutput=1\nbatch_normalize=1\n[rnn]\noutput=2\n"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  sluice::DarknetOptions options;
  options.decode = (data[0] & 4) != 0 && data[0] % 4 == 0;
  options.fold = (data[0] & 8) != 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  sluice::test::Read([&] {
    return sluice::ImportDarknetText(kNets[data[0] % 4], "net.cfg",
                                     sluice::darknet::Weights(bytes, nullptr, "net.weights"), options);
  });
  return 0;
}
