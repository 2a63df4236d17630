#include "tools/draw.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace sluice::tools {
namespace {

struct Glyph {
  char letter;
  char dots[36];  // seven rows of five
};

constexpr Glyph kGlyphs[] = {
    {'A', " ### #   ##   #######   ##   ##   #"}, {'B', "#### #   ##   ##### #   ##   ##### "},
    {'C', " ### #   ##    #    #    #   # ### "}, {'D', "#### #   ##   ##   ##   ##   ##### "},
    {'E', "######    #    #### #    #    #####"}, {'F', "######    #    #### #    #    #    "},
    {'G', " ### #   ##    #  ###   ##   # ####"}, {'H', "#   ##   ##   #######   ##   ##   #"},
    {'I', " ###   #    #    #    #    #   ### "}, {'J', "  ###   #    #    #    # #  #  ##  "},
    {'K', "#   ##  # # #  ##   # #  #  # #   #"}, {'L', "#    #    #    #    #    #    #####"},
    {'M', "#   ### ### # ## # ##   ##   ##   #"}, {'N', "#   ###  ## # ##  ###   ##   ##   #"},
    {'O', " ### #   ##   ##   ##   ##   # ### "}, {'P', "#### #   ##   ##### #    #    #    "},
    {'Q', " ### #   ##   ##   ## # ##  #  ## #"}, {'R', "#### #   ##   ##### # #  #  # #   #"},
    {'S', " #####    #     ###     #    ##### "}, {'T', "#####  #    #    #    #    #    #  "},
    {'U', "#   ##   ##   ##   ##   ##   # ### "}, {'V', "#   ##   ##   ##   ##   # # #   #  "},
    {'W', "#   ##   ##   ## # ## # ### ###   #"}, {'X', "#   ##   # # #   #   # # #   ##   #"},
    {'Y', "#   ##   # # #   #    #    #    #  "}, {'Z', "#####    #   #   #   #   #    #####"},
    {'0', " ### #   ##  ### # ###  ##   # ### "}, {'1', "  #   ##    #    #    #    #   ### "},
    {'2', " ### #   #    #   #   #   #   #####"}, {'3', " ### #   #    #  ##     ##   # ### "},
    {'4', "   #   ##  # # #  # #####   #    # "}, {'5', "######    ####     #    ##   # ### "},
    {'6', "  ##  #   #    #### #   ##   # ### "},  {'7', "#####    #   #   #   #    #    #   "},
    {'8', " ### #   ##   # ### #   ##   # ### "}, {'9', " ### #   ##   # ####    #   #  ##  "},
    {' ', "                                   "}, {'.', "                           ##   ## "},
    {',', "                      ##   #   #   "}, {':', "      ##   ##        ##   ##       "},
    {'-', "               #####               "}, {'_', "                              #####"},
    {'+', "       #    #  #####  #    #       "}, {'/', "         #   #   #   #   #         "},
    {'%', "##   ##  #   #   #   #   #  ##   ##"}, {'(', "   #   #   #    #    #     #     # "},
    {')', " #     #     #    #    #   #   #   "}, {'#', " # #  # # ##### # # ##### # #  # # "},
    {'!', "  #    #    #    #    #         #  "}, {'?', " ### #   #    #   #   #         #  "},
    {'&', " ##  #  # # #   #   # # ##  #  ## #"}, {'\'', "  #    #   #                       "},
    {'=', "          #####     #####          "}, {'*', "     # # # ### ##### ### # # #     "},
};

// Null for characters without a glyph.
const char* DotsOf(char letter) {
  const char upper = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  for (const Glyph& glyph : kGlyphs) {
    if (glyph.letter == upper) return glyph.dots;
  }
  return nullptr;
}

}  // namespace

Rgb ColorOf(int index) {
  // Steps of the golden ratio around the circle of hues.
  const double hue = 6 * std::fmod(0.02 + 0.618034 * index, 1.0);
  Rgb color;
  for (int c = 0; c < 3; ++c) {
    const double distance = std::abs(std::fmod(hue + 6 - 2 * c + 3, 6.0) - 3);
    color[static_cast<size_t>(c)] = static_cast<uint8_t>(40 + 215 * std::clamp(2 - distance, 0.0, 1.0));
  }
  return color;
}

void FillBox(Picture& picture, int left, int top, int right, int bottom, Rgb color) {
  left = std::max(left, 0);
  right = std::min(right, picture.width);
  for (int y = std::max(top, 0); y < std::min(bottom, picture.height); ++y) {
    for (int x = left; x < right; ++x) std::copy(color.begin(), color.end(), picture.at(x, y));
  }
}

void DrawFrame(Picture& picture, int left, int top, int right, int bottom, int thickness, Rgb color) {
  FillBox(picture, left, top, right, std::min(top + thickness, bottom), color);
  FillBox(picture, left, std::max(bottom - thickness, top), right, bottom, color);
  FillBox(picture, left, top, std::min(left + thickness, right), bottom, color);
  FillBox(picture, std::max(right - thickness, left), top, right, bottom, color);
}

void DrawText(Picture& picture, int left, int top, std::string_view text, int scale, Rgb color) {
  for (char letter : text) {
    const char* dots = DotsOf(letter);
    for (int i = 0; i < 35; ++i) {
      if (dots != nullptr && dots[i] != '#') continue;
      const int x = left + i % 5 * scale, y = top + i / 5 * scale;
      FillBox(picture, x, y, x + scale, y + scale, color);
    }
    left += 6 * scale;
  }
}

int TextWidth(std::string_view text, int scale) {
  return text.empty() ? 0 : (6 * static_cast<int>(text.size()) - 1) * scale;
}

}  // namespace sluice::tools
