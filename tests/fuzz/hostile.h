#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

namespace sluice::test {

inline Session LoadProto(const ModelProto& model, int threads = 1) {
  const std::string bytes = model.SerializeAsString();
  SessionOptions options;
  options.threads = threads;
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

// `run` throws an Error of this code whose message holds every part and is one line.
template <typename Fn>
void ExpectError(ErrorCode code, const std::vector<std::string>& parts, Fn run) {
  try {
    run();
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(ErrorCodeName(error.code()), std::string(ErrorCodeName(code))) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    for (const std::string& part : parts)
      EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
  }
}

inline void AddInts(GraphProto* graph, const std::string& name, const std::vector<int64_t>& values,
                    bool scalar = false) {
  TensorProto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(TensorProto::INT64);
  if (!scalar) tensor->add_dims(static_cast<int64_t>(values.size()));
  for (int64_t value : values) tensor->add_int64_data(value);
}

inline GraphProto* AddGraph(NodeProto* node, const std::string& name) {
  auto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(sluice_onnx::AttributeProto::GRAPH);
  return attribute->mutable_g();
}

inline void AddOutput(GraphProto* graph, const std::string& name) { graph->add_output()->set_name(name); }

}  // namespace sluice::test
