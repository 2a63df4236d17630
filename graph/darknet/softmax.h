#pragma once

#include "graph/darknet/network.h"

namespace sluice::darknet {

// Sizes of the groups of classes of the tree that `key` of the section names, in order: runs of lines with
// the same parent. The file has a line "name parent" for each of `classes` classes. It is looked for as it is
// named, then from the folder of the cfg file and from the one above. Throws Error{kInvalidModel}.
std::vector<int64_t> ReadTreeGroups(const Network& net, const Section& section, std::string_view key,
                                    int64_t classes);

// Softmax along axis 2 of [n, outer, classes, inner], within each group of so many neighbours.
ValueId GroupedSoftmax(GraphBuilder& b, ValueId x, int64_t outer, int64_t inner,
                       const std::vector<int64_t>& groups);

}  // namespace sluice::darknet
