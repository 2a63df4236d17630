#include "graph/darknet/cfg.h"

#include <gtest/gtest.h>

#include <cstring>

#include "graph/darknet/import.h"
#include "graph/infer.h"
#include "graph/verify.h"
#include "sluice/error.h"

namespace sluice {
namespace {

std::string RefusalOf(const std::string& cfg) {
  try {
    ImportDarknetText(cfg, "net.cfg", darknet::Weights(1, "net.cfg"), {});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
    return error.what();
  }
  return "accepted";
}

const std::string kNet = "[net]\nwidth=32\nheight=32\nchannels=3\n";

TEST(DarknetCfg, ReadsSectionsKeysAndComments) {
  const auto sections = darknet::ParseCfg(
      "# a comment\n[net]\n width = 32 # wide\n; other\n\n[route]\nlayers = -1, 3,\n", "x.cfg");
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(sections[0].Int("width"), 32);
  EXPECT_EQ(sections[1].line(), 6);
  EXPECT_EQ(sections[1].Ints("layers"), (std::vector<int64_t>{-1, 3}));
}

TEST(DarknetCfg, TakesFilesOfWindows) {
  const auto sections =
      darknet::ParseCfg("\xef\xbb\xbf[net]\r\nwidth=32\r\n\r\n[route]\r\nlayers=-1\r\n", "x.cfg");
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(sections[0].Int("width"), 32);
  EXPECT_EQ(sections[1].line(), 4);
}

TEST(DarknetCfg, RefusalsNameFileLineSectionAndKey) {
  EXPECT_EQ(RefusalOf(""), "net.cfg: no [section]; this is no Darknet configuration");
  EXPECT_EQ(RefusalOf("[net\n"), "net.cfg:1: expected [section], found '[net'");
  EXPECT_EQ(RefusalOf("width=3\n"), "net.cfg:1: key=value before the first [section]");
  EXPECT_EQ(RefusalOf("[net]\nwidth\n"), "net.cfg:2: expected key=value, found 'width'");
  EXPECT_EQ(RefusalOf("[net]\nheight=1\nwidth=1\nwidth=2\n"),
            "net.cfg:4: [net] width: stated before in line 3, with another value");
  EXPECT_EQ(RefusalOf("[net]\nwidth=x\nheight=3\n"),
            "net.cfg:2: [net] width: expected an integer, found 'x'");
  EXPECT_EQ(RefusalOf(kNet + "[convolutional]\nfilters=0\n"),
            "net.cfg:6: [convolutional] filters: expected at least 1, found 0");
  EXPECT_EQ(RefusalOf(kNet + "[convolutional]\nfiltres=8\n"),
            "net.cfg:6: [convolutional] filtres: unknown key");
  EXPECT_NE(
      RefusalOf(kNet + "[convolution]\n").find("net.cfg:5: [convolution] unknown section, expected one of"),
      std::string::npos);
  EXPECT_NE(RefusalOf(kNet + "[convolutional]\nactivation=leeky\n")
                .find("net.cfg:6: [convolutional] activation: unknown activation 'leeky'"),
            std::string::npos);
  EXPECT_EQ(RefusalOf(kNet + "[convolutional]\nfilters=4\n[route]\nlayers=-2\n"),
            "net.cfg:8: [route] layers: expected a layer before this one (1), found -2");
  EXPECT_EQ(RefusalOf(kNet + "[maxpool]\nsize=40\npadding=1\n"),
            "net.cfg:6: [maxpool] size: a window of 40 does not fit into 32 with padding 1");
  EXPECT_NE(RefusalOf(kNet + "[convolutional]\nfilters=4\n[yolo]\nclasses=1\nanchors=1,2\n")
                .find("need 6 channels, the layer before has 4"),
            std::string::npos);
  EXPECT_NE(RefusalOf(kNet + "[convolutional]\nfilters=2000000000\nsize=2000000000\npad=1\n").find("net.cfg"),
            std::string::npos);
}

TEST(DarknetCfg, RefusesSizesThatNoMachineHas) {
  EXPECT_EQ(RefusalOf("[net]\nwidth=8\n"), "net.cfg:1: [net] height: missing");
  EXPECT_EQ(RefusalOf("[net]\nwidth=2147483648\nheight=2147483648\n"),
            "net.cfg:1: [net] makes 3 x 2147483648 x 2147483648 elements, expected at most 2147483648");
  EXPECT_EQ(RefusalOf("[net]\nwidth=2147483649\nheight=1\n"),
            "net.cfg:2: [net] width: expected at most 2147483648, found 2147483649");
  EXPECT_EQ(RefusalOf(kNet + "[convolutional]\nsize=32769\n"),
            "net.cfg:6: [convolutional] size: expected at most 32768, found 32769");
  EXPECT_EQ(RefusalOf(kNet + "[upsample]\nstride=1024\n"),
            "net.cfg:5: [upsample] makes 3 x 32768 x 32768 elements, expected at most 2147483648");
  EXPECT_EQ(
      RefusalOf("[net]\nwidth=3000\nheight=3000\n[connected]\noutput=2000\n"),
      "net.cfg:4: [connected] the network takes more than 4294967296 bytes of weights, too many to make up");
}

TEST(DarknetCfg, KeysOfTheWeightsFileAndKeysStatedTwice) {
  EXPECT_EQ(RefusalOf(kNet + "[convolutional]\ndontload=1\n"),
            "net.cfg:6: [convolutional] dontload: not supported");
  EXPECT_EQ(RefusalOf(kNet + "batch=1\nbatch=64\n[maxpool]\nsize=2\nsize=2\n"), "accepted");
  EXPECT_EQ(RefusalOf(kNet + "[maxpool]\nsize=2\nsize=3\n"),
            "net.cfg:7: [maxpool] size: stated before in line 6, with another value");
  EXPECT_EQ(RefusalOf(kNet + "[softmax]\ntree=/nonexistent\n"),
            "net.cfg:6: [softmax] tree: /nonexistent: No such file or directory");
}

TEST(DarknetCfg, MakesGraphsThatHoldTogether) {
  const std::string cfg =
      kNet +
      "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
      "[maxpool]\nsize=2\nstride=2\n"
      "[convolutional]\nfilters=16\nsize=3\npad=1\ngroups=2\nactivation=mish\n"
      "[shortcut]\nfrom=-2\nactivation=linear\n"
      "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
      "[upsample]\nstride=2\n"
      "[route]\nlayers=-1,0\n"
      "[reorg]\nstride=2\n"
      "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
      "[yolo]\nmask=0,1,2\nanchors=4,4, 8,8, 16,16\nclasses=1\nnum=3\nscale_x_y=1.05\n";
  for (const bool decode : {false, true}) {
    for (const bool fold : {false, true}) {
      DarknetOptions options;
      options.decode = decode;
      options.fold = fold;
      options.batch = -1;
      const auto graph = ImportDarknetText(cfg, "net.cfg", darknet::Weights(1), options);
      Verify(*graph);
      InferShapes(*graph);
      ASSERT_EQ(graph->outputs.size(), decode ? 3u : 1u);
      if (decode) continue;
      EXPECT_EQ(ToString(graph->value(graph->outputs[0]).type), "float [N, 18, 16, 16]");
    }
  }
}

TEST(DarknetWeights, CountsBytes) {
  const std::string cfg = kNet + "[convolutional]\nfilters=2\nsize=1\nactivation=leaky\n";
  const auto import = [&](size_t floats, int32_t minor, size_t seen_bytes) {
    std::vector<std::byte> bytes(12 + seen_bytes + 4 * floats);
    std::memcpy(bytes.data() + 4, &minor, sizeof(minor));
    return ImportDarknetText(cfg, "net.cfg", darknet::Weights(bytes, nullptr, "net.weights"), {});
  };
  EXPECT_NO_THROW(import(8, 1, 4));
  EXPECT_NO_THROW(import(8, 2, 8));
  for (const size_t floats : {size_t{7}, size_t{9}, size_t{0}}) {
    try {
      import(floats, 2, 8);
      FAIL() << floats;
    } catch (const Error& error) {
      EXPECT_EQ(
          std::string(error.what()),
          "net.weights: the network takes 52 bytes of weights, its header of 20 included; the file has " +
              std::to_string(20 + 4 * floats));
    }
  }
  EXPECT_THROW(darknet::Weights(std::span<const std::byte>(), nullptr, "w"), Error);
}

TEST(DarknetWeights, RefusesAVarianceBelowZero) {
  const std::string cfg = kNet + "[convolutional]\nfilters=2\nbatch_normalize=1\n";
  std::vector<std::byte> bytes(20 + 4 * (4 * 2 + 6));
  const int32_t minor = 2;
  const float variance = -0.5f;
  std::memcpy(bytes.data() + 4, &minor, sizeof(minor));
  std::memcpy(bytes.data() + 20 + 4 * 7, &variance, sizeof(variance));
  try {
    ImportDarknetText(cfg, "net.cfg", darknet::Weights(bytes, nullptr, "net.weights"), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "net.weights: the variance of channel 1 of convolutional_0 is -0.500000, expected at least 0; "
              "the weights "
              "are of another network");
  }
}

}  // namespace
}  // namespace sluice
