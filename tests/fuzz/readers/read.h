#pragma once

#include <cstdlib>
#include <new>
#include <string_view>

#include "graph/export.h"
#include "graph/graph.h"
#include "graph/infer.h"
#include "graph/verify.h"
#include "sluice/error.h"

namespace sluice::test {

// What may come of bytes: a graph that holds together and can be written, or an Error that says something.
template <typename Import>
void Read(const Import& import) {
  try {
    const std::unique_ptr<Graph> graph = import();
    Verify(*graph);
    InferShapes(*graph);
    ExportOnnx(*graph, [](std::span<const std::byte>) {});
  } catch (const Error& error) {
    if (std::string_view(error.what()).empty()) std::abort();
  }
}

}  // namespace sluice::test
