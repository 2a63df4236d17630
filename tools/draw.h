#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tools/picture.h"

namespace sluice::tools {

using Rgb = std::array<uint8_t, 3>;

// A colour for each index, neighbours easy to tell apart.
Rgb ColorOf(int index);

// A frame `thickness` pixels wide, inside the box; what lies outside the picture is left out.
void DrawFrame(Picture& picture, int left, int top, int right, int bottom, int thickness, Rgb color);

void FillBox(Picture& picture, int left, int top, int right, int bottom, Rgb color);

// Text of 5 x 7 dots a letter, each `scale` pixels wide, one dot between letters. Letters without case;
// characters other than letters, digits and common signs are shown as a filled block.
void DrawText(Picture& picture, int left, int top, std::string_view text, int scale, Rgb color);
int TextWidth(std::string_view text, int scale);
constexpr int TextHeight(int scale) { return 7 * scale; }

}  // namespace sluice::tools
