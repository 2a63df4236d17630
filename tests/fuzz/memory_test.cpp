// Models of a few bytes that ask for more memory than there is: an Error, and none of the memory taken.
#include <gtest/gtest.h>

#include "runtime/memory_limit.h"
#include "tests/fuzz/hostile.h"

namespace sluice::test {
namespace {

constexpr int64_t kHuge = int64_t{1} << 44;  // 16 TiB of bytes

// A node and its inputs besides x, int64: each is a constant of the model or comes with the run.
struct Bomb {
  std::string op;
  int opset;
  std::vector<std::string> inputs;  // "x", "" or a name in `ints`
  std::vector<std::pair<std::string, std::vector<int64_t>>> ints;
  bool scalars = false;  // ints have rank 0
};

ModelProto ModelOf(const Bomb& bomb, bool constant) {
  ModelProto model = EmptyModel(bomb.opset);
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {2, 2});
  for (const auto& [name, values] : bomb.ints) {
    if (constant) {
      AddInts(graph, name, values, bomb.scalars);
    } else if (bomb.scalars) {
      SetType(graph->add_input(), name, {}, TensorProto::INT64);
    } else {
      SetType(graph->add_input(), name, {static_cast<int64_t>(values.size())}, TensorProto::INT64);
    }
  }
  NodeProto* node = AddNode(graph, bomb.op, {}, {"y"});
  for (const std::string& input : bomb.inputs) node->add_input(input);
  node->set_name("bomb");
  AddOutput(graph, "y");
  return model;
}

NamedValues InputsOf(const Bomb& bomb, bool constant) {
  NamedValues inputs;
  const float x[] = {1, 2, 3, 4};
  inputs["x"] = Tensor::From<float>({2, 2}, x);
  if (constant) return inputs;
  for (const auto& [name, values] : bomb.ints) {
    inputs[name] = bomb.scalars ? Tensor::Scalar(values[0])
                                : Tensor::From<int64_t>({static_cast<int64_t>(values.size())}, values);
  }
  return inputs;
}

TEST(Memory, OneValueTooLargeIsRefused) {
  const std::vector<Bomb> bombs = {
      {"ConstantOfShape", 17, {"shape"}, {{"shape", {kHuge}}}},
      {"ConstantOfShape", 17, {"shape"}, {{"shape", {1 << 14, 1 << 14, 1 << 14}}}},
      {"Expand", 17, {"x", "shape"}, {{"shape", {kHuge, 2, 2}}}},
      {"Tile", 17, {"x", "repeats"}, {{"repeats", {1 << 22, 1 << 22}}}},
      {"Range", 17, {"from", "to", "step"}, {{"from", {0}}, {"to", {kHuge}}, {"step", {1}}}, true},
      {"OneHot",
       17,
       {"index", "depth", "values"},
       {{"index", {0, 1}}, {"depth", {kHuge}}, {"values", {0, 1}}}},
      {"Pad", 17, {"x", "pads"}, {{"pads", {0, 0, kHuge, 0}}}},
      {"Resize", 17, {"x", "", "", "sizes"}, {{"sizes", {1 << 22, 1 << 22}}}},
      {"CenterCropPad", 18, {"x", "shape"}, {{"shape", {1 << 22, 1 << 22}}}},
  };
  for (const Bomb& bomb : bombs) {
    for (const bool constant : {true, false}) {
      SCOPED_TRACE(bomb.op + (constant ? " with constants" : " with inputs"));
      ExpectError(ErrorCode::kOutOfMemory, {bomb.op + " 'bomb'", "bytes exceeds"}, [&] {
        const Session session = LoadProto(ModelOf(bomb, constant));
        session.Run(InputsOf(bomb, constant));
      });
    }
  }
}

TEST(Memory, SizesThatOverflowAreRefused) {
  const std::vector<Bomb> bombs = {
      {"ConstantOfShape", 17, {"shape"}, {{"shape", {INT64_MAX, INT64_MAX}}}},
      {"ConstantOfShape", 17, {"shape"}, {{"shape", {-1}}}},
      {"Expand", 17, {"x", "shape"}, {{"shape", {INT64_MAX, 2, 2}}}},
      {"Expand", 17, {"x", "shape"}, {{"shape", {-7, 2, 2}}}},
      {"Tile", 17, {"x", "repeats"}, {{"repeats", {INT64_MAX, INT64_MAX}}}},
      {"Tile", 17, {"x", "repeats"}, {{"repeats", {-1, 1}}}},
      {"Range",
       17,
       {"from", "to", "step"},
       {{"from", {INT64_MIN}}, {"to", {INT64_MAX}}, {"step", {1}}},
       true},
      {"Range", 17, {"from", "to", "step"}, {{"from", {0}}, {"to", {5}}, {"step", {0}}}, true},
      {"Pad", 17, {"x", "pads"}, {{"pads", {INT64_MAX, 0, INT64_MAX, 0}}}},
      {"Pad", 17, {"x", "pads"}, {{"pads", {INT64_MIN, 0, INT64_MIN, 0}}}},
      {"Resize", 17, {"x", "", "", "sizes"}, {{"sizes", {INT64_MAX, INT64_MAX}}}},
      {"Reshape", 17, {"x", "shape"}, {{"shape", {INT64_MAX, INT64_MAX}}}},
      {"Reshape", 17, {"x", "shape"}, {{"shape", {INT64_MIN, -1}}}},
      {"Split", 17, {"x", "sizes"}, {{"sizes", {INT64_MAX}}}},
      {"Unsqueeze", 17, {"x", "axes"}, {{"axes", {INT64_MIN}}}},
      {"Gather", 17, {"x", "indices"}, {{"indices", {INT64_MIN}}}},
      {"Trilu", 17, {"x", "k"}, {{"k", {INT64_MIN, INT64_MAX}}}},
      {"BlackmanWindow", 17, {"size"}, {{"size", {kHuge}}}, true},
      {"OneHot", 17, {"i", "depth", "values"}, {{"i", {0}}, {"depth", {INT64_MIN}}, {"values", {0, 1}}}},
  };
  for (const Bomb& bomb : bombs) {
    for (const bool constant : {true, false}) {
      SCOPED_TRACE(bomb.op + (constant ? " with constants" : " with inputs"));
      try {
        const Session session = LoadProto(ModelOf(bomb, constant));
        session.Run(InputsOf(bomb, constant));
        ADD_FAILURE() << "was accepted";
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
        EXPECT_NE(std::string(error.what()).find(bomb.op + " 'bomb'"), std::string::npos) << error.what();
      }
    }
  }
}

// Each value fits, all together do not: refused before anything is computed.
TEST(Memory, ManyLargeValuesAreRefused) {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  AddInts(graph, "shape", {int64_t{1} << 28});
  for (int i = 0; i < 4096; ++i) {
    const std::string name = std::string("y").append(std::to_string(i));
    auto* value = AddNode(graph, "ConstantOfShape", {"shape"}, {name})->add_attribute();
    value->set_name("value");
    value->set_type(sluice_onnx::AttributeProto::TENSOR);
    value->mutable_t()->set_data_type(TensorProto::FLOAT);
    value->mutable_t()->add_dims(1);
    value->mutable_t()->add_float_data(static_cast<float>(i));  // none is another one's copy
    AddOutput(graph, name);
  }
  ExpectError(ErrorCode::kOutOfMemory, {"bytes exceeds"}, [&] { LoadProto(model).Run({}); });
}

// 2048 x 2048 texts of 64 KiB each.
TEST(Memory, TextsWithoutEndAreRefused) {
  if (MemoryLimit() >= int64_t{1} << 38) GTEST_SKIP() << "this machine could hold them";
  ModelProto model = EmptyModel(20);
  GraphProto* graph = model.mutable_graph();
  TensorProto* text = graph->add_initializer();
  text->set_name("text");
  text->set_data_type(TensorProto::STRING);
  text->add_dims(1);
  text->add_string_data(std::string(32 << 10, 'x'));
  AddInts(graph, "rows", {2048, 1});
  AddInts(graph, "columns", {1, 2048});
  AddNode(graph, "Expand", {"text", "rows"}, {"a"});
  AddNode(graph, "Expand", {"text", "columns"}, {"b"});
  AddNode(graph, "StringConcat", {"a", "b"}, {"y"})->set_name("all");
  AddOutput(graph, "y");
  ExpectError(ErrorCode::kOutOfMemory, {"StringConcat 'all'", "bytes exceeds"},
              [&] { LoadProto(model).Run({}); });
}

}  // namespace
}  // namespace sluice::test
