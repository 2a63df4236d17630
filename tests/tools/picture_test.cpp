#include "tools/picture.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "sluice/error.h"
#include "tools/draw.h"
#include "tools/files.h"

namespace sluice::tools {
namespace {

class PictureFile : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sluice-picture-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

Picture Gradient(int width, int height) {
  Picture picture(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      picture.at(x, y)[0] = static_cast<uint8_t>(10 * x);
      picture.at(x, y)[1] = static_cast<uint8_t>(20 * y);
      picture.at(x, y)[2] = 77;
    }
  }
  return picture;
}

TEST_F(PictureFile, PngKeepsEveryPixel) {
  const Picture picture = Gradient(13, 7);
  WritePicture(dir_ + "/a.png", picture);
  const Picture read = ReadPicture(dir_ + "/a.png");
  EXPECT_EQ(read.width, 13);
  EXPECT_EQ(read.height, 7);
  EXPECT_EQ(read.rgb, picture.rgb);
}

TEST_F(PictureFile, JpegKeepsPixelsNearly) {
  const Picture picture = Gradient(16, 8);
  WritePicture(dir_ + "/a.JPG", picture);
  const Picture read = ReadPicture(dir_ + "/a.JPG");
  ASSERT_EQ(read.rgb.size(), picture.rgb.size());
  for (size_t i = 0; i < read.rgb.size(); ++i) ASSERT_NEAR(read.rgb[i], picture.rgb[i], 12) << i;
}

TEST_F(PictureFile, RefusesTruncatedAndForeignFiles) {
  for (const char* name : {"/a.png", "/a.jpg"}) {
    WritePicture(dir_ + name, Gradient(40, 30));
    const std::vector<std::byte> whole = ReadFile(dir_ + name);
    for (size_t size = 0; size + 20 < whole.size(); size += 7) {
      EXPECT_THROW(DecodePicture(std::span(whole).first(size), "x"), Error) << name << " " << size;
    }
  }
  EXPECT_THROW(DecodePicture(std::as_bytes(std::span("GIF89a", 6)), "x"), Error);
  EXPECT_THROW(WritePicture(dir_ + "/a.bmp", Gradient(1, 1)), Error);
}

TEST(Resize, OfOneColourIsThatColour) {
  Picture picture(5, 4);
  FillBox(picture, 0, 0, 5, 4, {10, 20, 30});
  for (const auto& [width, height] : {std::pair(1, 1), std::pair(3, 9), std::pair(50, 2)}) {
    const Picture result = Resize(picture, width, height);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        ASSERT_EQ(result.at(x, y)[0], 10);
        ASSERT_EQ(result.at(x, y)[2], 30);
      }
    }
  }
}

TEST(Resize, InterpolatesBetweenPixelCentres) {
  Picture picture(2, 1);
  FillBox(picture, 1, 0, 2, 1, {200, 200, 200});
  const Picture result = Resize(picture, 4, 1);
  // Centres at 0.25, 0.75, 1.25, 1.75 of the two pixels whose centres are 0.5 and 1.5.
  EXPECT_EQ(result.at(0, 0)[0], 0);
  EXPECT_EQ(result.at(1, 0)[0], 50);
  EXPECT_EQ(result.at(2, 0)[0], 150);
  EXPECT_EQ(result.at(3, 0)[0], 200);
}

TEST(Letterbox, CentresThePictureAndTellsWhere) {
  Picture picture(20, 10);
  FillBox(picture, 0, 0, 20, 10, {1, 2, 3});
  Fit fit;
  const Picture result = Letterbox(picture, 40, 40, &fit);
  EXPECT_EQ(fit.scale_x, 2);
  EXPECT_EQ(fit.left, 0);
  EXPECT_EQ(fit.top, 10);
  EXPECT_EQ(result.at(0, 9)[0], 114);
  EXPECT_EQ(result.at(0, 10)[0], 1);
  EXPECT_EQ(result.at(39, 29)[0], 1);
  EXPECT_EQ(result.at(39, 30)[0], 114);
}

TEST(Letterbox, KeepsAtLeastOnePixel) {
  const Picture result = Letterbox(Picture(1000, 1), 10, 10, nullptr);
  EXPECT_EQ(result.width, 10);
  EXPECT_EQ(result.at(5, 4)[0], 0);
}

TEST(Draw, StaysInsideThePicture) {
  Picture picture(10, 10);
  DrawFrame(picture, -5, -5, 50, 50, 3, {255, 0, 0});
  DrawText(picture, -3, 8, "Ab9%~", 2, {0, 255, 0});
  FillBox(picture, 8, 8, 2, 2, {1, 1, 1});
  EXPECT_EQ(picture.rgb.size(), 300u);
  EXPECT_EQ(TextWidth("ab", 2), 22);
}

TEST(Draw, NeighbouringColoursDiffer) {
  for (int i = 0; i < 80; ++i) EXPECT_NE(ColorOf(i), ColorOf(i + 1));
}

}  // namespace
}  // namespace sluice::tools
