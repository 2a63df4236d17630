#include "graph/import.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "graph/infer.h"
#include "graph/verify.h"
#include "sluice/error.h"
#include "tests/graph/onnx_builder.h"

namespace sluice {
namespace {

using namespace test;

// Imports and expects an error whose message holds every one of `parts`.
void ExpectRefused(const ModelProto& model, std::initializer_list<std::string> parts) {
  try {
    auto graph = ImportProto(model);
    Verify(*graph);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
    }
  }
}

TEST(ImportTest, ReadsInputsOutputsConstantsAndNodes) {
  ModelProto model = SmallModel();
  auto* entry = model.add_metadata_props();
  entry->set_key("labels");
  entry->set_value("cat,dog");
  const auto graph = ImportProto(model);
  ASSERT_EQ(graph->inputs.size(), 1u);
  EXPECT_EQ(ToString(graph->value(graph->inputs[0]).type), "float [2, 3]");
  ASSERT_EQ(graph->outputs.size(), 2u);
  EXPECT_EQ(graph->num_nodes(), 2u);
  EXPECT_EQ(graph->node(NodeId(0)).name, "copy");
  EXPECT_EQ(graph->node(NodeId(1)).name, "w2");  // unnamed nodes go by their output
  EXPECT_NE(graph->node(NodeId(0)).op, nullptr);
  EXPECT_EQ(graph->metadata.at("labels"), "cat,dog");
  EXPECT_EQ(graph->opsets.at(""), 17);
  Verify(*graph);
}

TEST(ImportTest, EveryWayToStoreElements) {
  for (int type : {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16}) {
    for (const bool raw : {false, true}) {
      SCOPED_TRACE("type " + std::to_string(type) + (raw ? " raw" : " list"));
      const int64_t bytes = ByteSize(static_cast<DataType>(type), 1);
      ModelProto model = SmallModel();
      TensorProto* w = model.mutable_graph()->mutable_initializer(0);
      w->Clear();
      w->set_name("w");
      w->set_data_type(type);
      w->add_dims(2);
      if (raw) {
        std::string data(static_cast<size_t>(2 * bytes), '\0');
        if (type != 1 && type != 10 && type != 11 && type != 16) data[0] = 1;  // little-endian 1, 0
        w->set_raw_data(data);
      } else if (type == 1) {
        w->add_float_data(0), w->add_float_data(0);
      } else if (type == 11) {
        w->add_double_data(0), w->add_double_data(0);
      } else if (type == 7) {
        w->add_int64_data(1), w->add_int64_data(0);
      } else if (type == 12 || type == 13) {
        w->add_uint64_data(1), w->add_uint64_data(0);
      } else {
        w->add_int32_data(type == 10 || type == 16 ? 0 : 1), w->add_int32_data(0);
      }
      model.mutable_graph()->mutable_output(1)->mutable_type()->mutable_tensor_type()->set_elem_type(type);
      const auto graph = ImportProto(model);
      const Tensor& tensor = graph->value(graph->node(NodeId(1)).inputs[0]).constant;
      EXPECT_EQ(tensor.dtype(), static_cast<DataType>(type));
      EXPECT_EQ(tensor.shape(), Shape{2});
      const bool one = type != 1 && type != 10 && type != 11 && type != 16;
      EXPECT_EQ(static_cast<const uint8_t*>(tensor.data())[0], one ? 1 : 0);
      EXPECT_EQ(static_cast<const uint8_t*>(tensor.data())[bytes], 0);
    }
  }
}

TEST(ImportTest, SparseInitializerBecomesDense) {
  ModelProto model = SmallModel();
  GraphProto* graph = model.mutable_graph();
  graph->clear_initializer();
  auto* sparse = graph->add_sparse_initializer();
  *sparse->mutable_values() = SmallModel().graph().initializer(0);
  sparse->add_dims(2), sparse->add_dims(2);
  auto* indices = sparse->mutable_indices();
  indices->set_data_type(TensorProto::INT64);
  indices->add_dims(2);
  indices->add_int64_data(0), indices->add_int64_data(3);
  graph->mutable_output(1)->Clear();
  graph->mutable_output(1)->set_name("w2");
  const auto imported = ImportProto(model);
  const Tensor& w = imported->value(imported->node(NodeId(1)).inputs[0]).constant;
  EXPECT_EQ(w.shape(), (Shape{2, 2}));
  EXPECT_EQ(std::vector<float>(w.values<float>().begin(), w.values<float>().end()), (std::vector<float>{1, 0, 0, 2}));
  indices->set_int64_data(1, 4);
  ExpectRefused(model, {"'w'", "sparse index 4", "[2, 2]"});
}

TEST(ImportTest, InitializerListedAsInputIsAConstant) {
  ModelProto model = SmallModel();
  SetType(model.mutable_graph()->add_input(), "w", {2});
  EXPECT_EQ(ImportProto(model)->inputs.size(), 1u);
}

TEST(ImportTest, ConstantNodesBecomeConstants) {
  ModelProto model = SmallModel();
  GraphProto* graph = model.mutable_graph();
  graph->clear_initializer();
  auto* value = AddNode(graph, "Constant", {}, {"w"})->add_attribute();
  value->set_name("value_ints");
  value->set_type(sluice_onnx::AttributeProto::INTS);
  value->add_ints(5), value->add_ints(6);
  graph->mutable_output(1)->mutable_type()->mutable_tensor_type()->set_elem_type(TensorProto::INT64);
  const auto imported = ImportProto(model);
  EXPECT_EQ(imported->num_nodes(), 2u);
  EXPECT_EQ(imported->value(imported->node(NodeId(1)).inputs[0]).constant.values<int64_t>()[1], 6);
}

TEST(ImportTest, FunctionsAreWrittenOut) {
  ModelProto model = SmallModel();
  model.add_opset_import()->set_domain("mine");
  model.mutable_opset_import(1)->set_version(1);
  auto* function = model.add_functions();
  function->set_name("Twice");
  function->set_domain("mine");
  function->add_input("a");
  function->add_output("b");
  function->add_opset_import()->set_version(17);
  for (const auto& [from, to] : {std::pair("a", "t"), std::pair("t", "b")}) {
    NodeProto* node = function->add_node();
    node->set_op_type("Identity");
    node->add_input(from);
    node->add_output(to);
  }
  NodeProto* call = model.mutable_graph()->mutable_node(0);
  call->set_op_type("Twice");
  call->set_domain("mine");
  const auto imported = ImportProto(model);
  EXPECT_EQ(imported->num_nodes(), 3u);
  Verify(*imported);
  // A function that calls itself.
  function->mutable_node(0)->set_op_type("Twice");
  function->mutable_node(0)->set_domain("mine");
  ExpectRefused(model, {"Twice", "calls itself"});
}

TEST(ImportTest, RefusesWhatDoesNotHoldTogether) {
  ModelProto model = SmallModel();
  model.mutable_graph()->mutable_node(0)->set_input(0, "nowhere");
  ExpectRefused(model, {"Identity 'copy'", "'nowhere'"});

  model = SmallModel();
  model.mutable_graph()->mutable_node(1)->set_output(0, "y");
  ExpectRefused(model, {"'y'", "twice"});

  model = SmallModel();
  model.mutable_graph()->mutable_node(0)->set_input(0, "y");
  ExpectRefused(model, {"cycle"});

  model = SmallModel();
  model.mutable_graph()->mutable_output(0)->set_name("z");
  ExpectRefused(model, {"output 'z'"});

  model = SmallModel();
  AddNode(model.mutable_graph(), "Bogus", {"x"}, {"b1"});
  AddNode(model.mutable_graph(), "Fake", {"x"}, {"f1"})->set_domain("com.example");
  ExpectRefused(model, {"Bogus (opset 17) at 'b1'", "com.example.Fake at 'f1'"});

  model = SmallModel();
  model.clear_graph();
  ExpectRefused(model, {"no graph"});

  model = SmallModel();
  model.mutable_opset_import(0)->set_version(0);
  ExpectRefused(model, {"opset", "at least 1"});
}

TEST(ImportTest, RefusesBrokenTensors) {
  const auto with = [](auto edit) {
    ModelProto model = SmallModel();
    edit(model.mutable_graph()->mutable_initializer(0));
    return model;
  };
  ExpectRefused(with([](TensorProto* w) { w->set_dims(0, 3); }), {"'w'", "needs 12 bytes, found 8"});
  ExpectRefused(with([](TensorProto* w) { w->set_dims(0, -2); }), {"'w'", "negative"});
  ExpectRefused(with([](TensorProto* w) { w->set_data_type(99); }), {"'w'", "element type 99"});
  ExpectRefused(with([](TensorProto* w) {
                  w->set_dims(0, int64_t{1} << 40);
                  w->add_dims(int64_t{1} << 40);
                }), {"'w'", "too many elements"});
  ExpectRefused(with([](TensorProto* w) {
                  w->clear_raw_data();
                  w->add_float_data(1);
                }), {"'w'", "needs 2 entries, found 1"});
}

// Of mapped files, and of files that are read into memory.
class ExternalDataTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("sluice-import-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "model" / "sub");
    const float values[] = {0, 3, 4};
    std::ofstream(folder_ / "model" / "w.bin", std::ios::binary).write(reinterpret_cast<const char*>(values), 12);
    std::filesystem::copy(folder_ / "model" / "w.bin", folder_ / "outside.bin");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Graph> Load(const std::string& location, const std::string& offset = "4",
                              const std::string& length = "8") {
    ModelProto model = SmallModel();
    TensorProto* w = model.mutable_graph()->mutable_initializer(0);
    w->clear_raw_data();
    w->set_data_location(TensorProto::EXTERNAL);
    for (const auto& [key, value] : {std::pair("location", location), std::pair("offset", offset),
                                     std::pair("length", length)}) {
      if (value.empty()) continue;
      auto* entry = w->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    std::ofstream(folder_ / "model" / "m.onnx", std::ios::binary) << model.SerializeAsString();
    return ImportOnnx((folder_ / "model" / "m.onnx").string(), /*copy=*/GetParam());
  }

  void ExpectRefused(const std::string& location, const std::string& part, const std::string& offset = "4",
                     const std::string& length = "8") {
    try {
      Load(location, offset, length);
      ADD_FAILURE() << location << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidModel);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("'w'"), std::string::npos) << error.what();
    }
  }

  std::filesystem::path folder_;
};

TEST_P(ExternalDataTest, IsFoundBesideTheModel) {
  for (const char* length : {"8", ""}) {
    const auto graph = Load("w.bin", "4", length);
    const Tensor& w = graph->value(graph->node(NodeId(1)).inputs[0]).constant;
    EXPECT_EQ(w.values<float>()[0], 3);
    EXPECT_EQ(w.values<float>()[1], 4);
  }
  EXPECT_NE(Load("./w.bin"), nullptr);
}

TEST_P(ExternalDataTest, StaysInTheModelsFolder) {
  ExpectRefused("../outside.bin", "leaves the model's folder");
  ExpectRefused("sub/../../outside.bin", "leaves the model's folder");
  ExpectRefused((folder_ / "outside.bin").string(), "absolute path");
  std::filesystem::create_symlink(folder_ / "outside.bin", folder_ / "model" / "link.bin");
  ExpectRefused("link.bin", "symbolic link");
  std::filesystem::create_directory_symlink(folder_, folder_ / "model" / "up");
  ExpectRefused("up/outside.bin", "'up'");
  std::filesystem::create_hard_link(folder_ / "outside.bin", folder_ / "model" / "hard.bin");
  ExpectRefused("hard.bin", "hard links");
  ExpectRefused("", "no file name");
  ExpectRefused("sub", "folder");
  ExpectRefused("absent.bin", "No such file");
}

TEST_P(ExternalDataTest, RangesAreChecked) {
  ExpectRefused("w.bin", "which has 12", "8");
  ExpectRefused("w.bin", "which has 12", "9223372036854775807");
  ExpectRefused("w.bin", "offset is '-4'", "-4");
  ExpectRefused("w.bin", "length is 'x'", "4", "x");
  ExpectRefused("w.bin", "needs 8 bytes, found 4", "4", "4");
}

TEST_P(ExternalDataTest, IsRefusedForModelsInMemory) {
  ModelProto model = SmallModel();
  model.mutable_graph()->mutable_initializer(0)->set_data_location(TensorProto::EXTERNAL);
  sluice::ExpectRefused(model, {"'w'", "not read from a file"});
}

INSTANTIATE_TEST_SUITE_P(Files, ExternalDataTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Read" : "Mapped"; });

TEST_P(ExternalDataTest, WhatWasReadDoesNotChangeWithItsFiles) {
  if (!GetParam()) GTEST_SKIP() << "mapped files do change";
  const auto graph = Load("w.bin");
  std::ofstream(folder_ / "model" / "w.bin", std::ios::binary) << std::string(12, 'x');
  std::filesystem::resize_file(folder_ / "model" / "w.bin", 0);
  std::filesystem::resize_file(folder_ / "model" / "m.onnx", 0);
  const Tensor& w = graph->value(graph->node(NodeId(1)).inputs[0]).constant;
  EXPECT_EQ(w.values<float>()[0], 3);
  EXPECT_EQ(w.values<float>()[1], 4);
}

TEST(ImportTest, MissingFileFolderAndEmptyFile) {
  const auto message = [](const std::string& path, bool copy = false) -> std::string {
    try {
      ImportOnnx(path, copy);
      return "accepted";
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_NE(message("/nonexistent/m.onnx").find("No such file"), std::string::npos);
  EXPECT_NE(message("/tmp").find("folder"), std::string::npos);
  EXPECT_EQ(message("/nonexistent/m.onnx", true), message("/nonexistent/m.onnx"));
  EXPECT_EQ(message("/tmp", true), message("/tmp"));
  EXPECT_EQ(message("/dev/null", true), message("/dev/null"));
  EXPECT_NE(message("/dev/null").find("regular"), std::string::npos);
}

// Imports as a session would, up to inferred shapes; only sluice::Error may come out.
void Survive(const std::string& bytes) {
  try {
    const auto graph = ImportOnnxBytes(std::as_bytes(std::span(bytes)), nullptr);
    Verify(*graph);
    InferShapes(*graph);
  } catch (const Error&) {
  }
}

TEST(ImportTest, CutOffAtEveryByte) {
  const std::string bytes = SmallModel().SerializeAsString();
  for (size_t size = 0; size < bytes.size(); ++size) Survive(bytes.substr(0, size));
}

TEST(ImportTest, ThousandsOfMutants) {
  const std::string original = SmallModel().SerializeAsString();
  for (unsigned seed = 1; seed <= 5000; ++seed) {
    std::mt19937 random(seed);
    std::string bytes = original;
    for (unsigned edits = 1 + random() % 4; edits > 0 && !bytes.empty(); --edits) {
      const size_t at = random() % bytes.size(), count = 1 + random() % 16;
      switch (random() % 5) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8)); break;
        case 1: bytes[at] = static_cast<char>(random()); break;
        case 2: bytes.erase(at, count); break;
        case 3: bytes.insert(at, bytes.substr(random() % bytes.size(), count)); break;
        case 4: bytes.insert(at, count, static_cast<char>(0xff)); break;
      }
    }
    SCOPED_TRACE("seed " + std::to_string(seed));
    Survive(bytes);
  }
}

}  // namespace
}  // namespace sluice
