#pragma once

#include <cstdint>

#include "kernels/simd/vector_ops.h"

namespace sluice {

// Winograd convolution F(m x m, kernel x kernel) at stride 1 or 2 of one band of output tiles in a blocked
// layout, in the forms of WithWinogradForm. Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks" (2015).
//
// A tile is m x m outputs of one image; it reads size()^2 inputs. Tiles are counted through the images, row
// by row.
struct WinogradShape {
  int m = 4, kernel = 3, stride = 1;
  int64_t block = 8;  // channels in a block of the layout
  int64_t ic_blocks = 0, oc_blocks = 0;
  int64_t ih = 0, iw = 0, oh = 0, ow = 0;
  int64_t pad_top = 0, pad_left = 0;
  // Weights are transformed while the convolution runs: they take no more memory than they are, and no more is read.
  // For m = 5, and up to WinogradLateTiles() tiles at once.
  bool late = false;

  int64_t tile_rows() const { return (oh + m - 1) / m; }
  int64_t tile_cols() const { return (ow + m - 1) / m; }
  int64_t size() const { return stride == 1 ? m + kernel - 1 : 2 * m + kernel - 2; }
  int64_t elems() const { return size() * size(); }
  int64_t ic() const { return ic_blocks * block; }  // padding included
  int64_t oc() const { return oc_blocks * block; }
};

// 0 where the processor has no such form.
int64_t WinogradLateTiles();

// Output channels of a panel of packed weights, and how many panels there are.
int64_t WinogradPanel();
int64_t WinogradPanels(const WinogradShape& shape);

// Floats of packed weights: [panel][element][ic][channel of the panel], or where they are transformed late
// [panel][ic][tap][channel of the panel].
int64_t WinogradPackedElems(const WinogradShape& shape);
// Writes all of panel `panel` of `packed` from weights [oc, ic, kernel, kernel] with `oc` and `ic` real
// channels; what pads is zero. Panels may be packed by several threads at once.
void WinogradPack(const WinogradShape& shape, const float* weights, int64_t oc, int64_t ic, int64_t panel,
                  float* packed);

// Floats of scratch for `tiles` tiles at once.
int64_t WinogradScratchElems(const WinogradShape& shape, int64_t tiles);

// Tiles [tile, tile + tiles) of channels that panels [panel, panel + panels) hold. bias [oc], padded with
// zeros, or null. The ops follow
// on the bias, in order.
void WinogradRun(const WinogradShape& shape, const float* src, const float* packed, const float* bias,
                 const VectorOp* ops, int num_ops, float* dst, int64_t tile, int64_t tiles, int64_t panel,
                 int64_t panels, float* scratch);

}  // namespace sluice
