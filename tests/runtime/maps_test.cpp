#include <gtest/gtest.h>

#include "sluice/session.h"
#include "tests/graph/onnx_builder.h"

// Maps into and out of sessions.

namespace sluice::test {
namespace {

using sluice_onnx::AttributeProto;

void AddStrings(NodeProto* node, const std::string& name, std::initializer_list<std::string> values) {
  AttributeProto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(AttributeProto::STRINGS);
  for (const std::string& value : values) attribute->add_strings(value);
}

void SetMapType(sluice_onnx::TypeProto* type, int key, int value) {
  type->mutable_map_type()->set_key_type(key);
  type->mutable_map_type()->mutable_value_type()->mutable_tensor_type()->set_elem_type(value);
}

Session LoadModel(ModelProto& model, const SessionOptions& options = {}) {
  auto* import = model.add_opset_import();
  import->set_domain("ai.onnx.ml");
  import->set_version(3);
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

// z: a sequence of maps from the labels to the columns of x [N, 3].
ModelProto ZipMapModel() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  SetType(graph->add_input(), "x", {0, 3});
  graph->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_param("N");
  graph->add_output()->set_name("z");
  SetMapType(graph->mutable_output(0)->mutable_type()->mutable_sequence_type()->mutable_elem_type(),
             TensorProto::STRING, TensorProto::FLOAT);
  NodeProto* node = AddNode(graph, "ZipMap", {"x"}, {"z"});
  node->set_domain("ai.onnx.ml");
  AddStrings(node, "classlabels_strings", {"dog", "cat", "cow"});
  return model;
}

TEST(MapsTest, ZipMapGivesASequenceOfMaps) {
  ModelProto model = ZipMapModel();
  const Session session = LoadModel(model);
  const ValueInfo& info = session.outputs()[0];
  EXPECT_TRUE(info.is_sequence && info.is_map);
  EXPECT_EQ(info.key_type, DataType::kString);
  EXPECT_EQ(info.dtype, DataType::kFloat);
  for (int64_t rows : {2, 0, 5}) {
    Tensor x(DataType::kFloat, {rows, 3});
    for (size_t i = 0; i < x.values<float>().size(); ++i)
      x.mutable_values<float>()[i] = static_cast<float>(i);
    const Value z = session.Run({{"x", x}}).at("z");
    ASSERT_TRUE(z.is_sequence());
    EXPECT_EQ(z.element_type(), DataType::kFloat);
    ASSERT_EQ(z.items().size(), static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) {
      const auto at = static_cast<float>(3 * row);
      EXPECT_EQ((z.items()[static_cast<size_t>(row)].ToMap<std::string, float>()),
                (std::map<std::string, float>{{"dog", at}, {"cat", at + 1}, {"cow", at + 2}}));
    }
  }
}

TEST(MapsTest, OperatorsOnSequencesTakeThoseOfMaps) {
  ModelProto model = ZipMapModel();
  GraphProto* graph = model.mutable_graph();
  graph->clear_output();
  for (const char* name : {"map", "length"}) graph->add_output()->set_name(name);
  TensorProto* one = graph->add_initializer();
  one->set_name("one");
  one->set_data_type(TensorProto::INT64);
  one->add_int64_data(1);
  AddNode(graph, "SequenceAt", {"z", "one"}, {"map"});
  AddNode(graph, "SequenceLength", {"z"}, {"length"});
  const Session session = LoadModel(model);
  EXPECT_TRUE(session.outputs()[0].is_map);
  EXPECT_FALSE(session.outputs()[0].is_sequence);
  const NamedValues out =
      session.Run({{"x", Tensor::From<float>({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})}});
  EXPECT_EQ((out.at("map").ToMap<std::string, float>()),
            (std::map<std::string, float>{{"dog", 4}, {"cat", 5}, {"cow", 6}}));
  EXPECT_EQ(out.at("length").tensor().values<int64_t>()[0], 2);
}

// y: the values of map m at the places of a vocabulary, doubled.
ModelProto VectorizerModel() {
  ModelProto model = EmptyModel();
  GraphProto* graph = model.mutable_graph();
  graph->add_input()->set_name("m");
  SetMapType(graph->mutable_input(0)->mutable_type(), TensorProto::STRING, TensorProto::FLOAT);
  graph->add_output()->set_name("y");
  NodeProto* node = AddNode(graph, "DictVectorizer", {"m"}, {"v"});
  node->set_domain("ai.onnx.ml");
  AddStrings(node, "string_vocabulary", {"a", "c", "b", "z"});
  AddNode(graph, "Add", {"v", "v"}, {"y"});
  return model;
}

TEST(MapsTest, AMapIsAnInput) {
  ModelProto model = VectorizerModel();
  const Session session = LoadModel(model);
  EXPECT_TRUE(session.inputs()[0].is_map);
  EXPECT_FALSE(session.inputs()[0].is_sequence);
  const Value map = Value::Map(std::map<std::string, float>{{"c", 8}, {"a", 4}, {"unheard", 1}});
  for (int run = 0; run < 2; ++run) {
    const Tensor y = session.Run({{"m", map}}).at("y").tensor();
    EXPECT_EQ(y.shape(), (Shape{1, 4}));
    EXPECT_EQ(std::vector<float>(y.values<float>().begin(), y.values<float>().end()),
              (std::vector<float>{8, 16, 0, 0}));
  }
  EXPECT_EQ(session.Prepare({}).steps, 2);
}

TEST(MapsTest, RefusesWhatIsNoSuchMap) {
  ModelProto model = VectorizerModel();
  const Session session = LoadModel(model);
  const auto message = [&](const Value& value) -> std::string {
    try {
      session.Run({{"m", value}});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(Tensor::Scalar(1.0f)), "input 'm': the value is no map");
  EXPECT_EQ(message(Value::Map(std::map<int64_t, float>{})),
            "input 'm': the value is a map from int64 to float, expected one from string to float");
  model.clear_opset_import();
  model.add_opset_import()->set_version(17);
  SetMapType(model.mutable_graph()->mutable_input(0)->mutable_type(), TensorProto::INT32, TensorProto::FLOAT);
  try {
    LoadModel(model);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "value 'm': a map from int32 to float is not supported");
  }
  ModelProto zip = ZipMapModel();
  const Session other = LoadModel(zip);
  EXPECT_THROW(other.Run({{"x", Value::Map(std::map<int64_t, float>{})}}), Error);
}

}  // namespace
}  // namespace sluice::test
