#include <gtest/gtest.h>

#include "sluice/session.h"
#include "tests/graph/onnx_attributes.h"

// Strings in whole graphs: into a session, through operators of all kinds, nested graphs and sequences, and
// out.

namespace sluice::test {
namespace {

constexpr int kString = TensorProto::STRING;
using Strings = std::vector<std::string>;

Session Load(ModelProto& model, bool passes) {
  auto* import = model.add_opset_import();
  import->set_domain("ai.onnx.ml");
  import->set_version(4);
  SessionOptions options;
  options.passes = passes;
  const std::string bytes = model.SerializeAsString();
  return Session::LoadBytes(std::as_bytes(std::span(bytes)), options);
}

template <typename T>
std::vector<T> ElementsOf(const Value& value) {
  const auto values = value.tensor().values<T>();
  return {values.begin(), values.end()};
}
Tensor Words(const Strings& words) {
  return Tensor::From<std::string>({static_cast<int64_t>(words.size())}, words);
}
void SetStrings(NodeProto* node, const std::string& name, const Strings& values) {
  AttributeProto* attribute = AddAttribute(node, name, AttributeProto::STRINGS);
  for (const std::string& value : values) attribute->add_strings(value);
}
void AddWords(GraphProto* graph, const std::string& name, const Strings& words) {
  TensorProto* tensor = graph->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(kString);
  tensor->add_dims(static_cast<int64_t>(words.size()));
  for (const std::string& word : words) tensor->add_string_data(word);
}

TEST(StringsTest, FromWordsToAnEmbedding) {
  // Lower case, without stop words, to numbers, to rows of a table.
  ModelProto model = EmptyModel(20);
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "words", kString);
  NodeProto* normal = Add(graph, "StringNormalizer", {"words"}, {"lower"});
  AddAttribute(normal, "case_change_action", AttributeProto::STRING)->set_s("LOWER");
  SetInt(normal, "is_case_sensitive", 1);
  SetStrings(normal, "stopwords", {"the"});
  NodeProto* encoder = Add(graph, "LabelEncoder", {"lower"}, {"numbers"});
  encoder->set_domain("ai.onnx.ml");
  SetStrings(encoder, "keys_strings", {"cat", "dog"});
  AttributeProto* values = AddAttribute(encoder, "values_int64s", AttributeProto::INTS);
  values->add_ints(1), values->add_ints(2);
  SetInt(encoder, "default_int64", 0);
  AddFloats(graph, "table", {3, 2}, {0, 0, 1, 10, 2, 20});
  Add(graph, "Gather", {"table", "numbers"}, {"rows"});
  AddWords(graph, "dog", {"dog"});
  Add(graph, "Equal", {"lower", "dog"}, {"is_dog"});
  AddWords(graph, "wolf", {"wolf"});
  Add(graph, "Where", {"is_dog", "wolf", "lower"}, {"wild"});
  NodeProto* match = Add(graph, "RegexFullMatch", {"wild"}, {"short"});
  AddAttribute(match, "pattern", AttributeProto::STRING)->set_s("[a-z]{1,3}");
  SetInt(Add(graph, "Concat", {"wild", "dog"}, {"more"}), "axis", 0);
  Add(graph, "StringConcat", {"more", "dog"}, {"pairs"});
  AddOutput(graph, "rows");
  AddOutput(graph, "wild", kString);
  AddOutput(graph, "pairs", kString);
  AddOutput(graph, "short", TensorProto::BOOL);
  for (const bool passes : {true, false}) {
    ModelProto copy = model;
    const Session session = Load(copy, passes);
    auto out = session.Run({{"words", Words({"The", "DOG", "saw", "the", "cAt"})}});
    EXPECT_EQ(out.at("rows").tensor().shape(), (Shape{4, 2}));
    EXPECT_EQ(ElementsOf<float>(out.at("rows")), (std::vector<float>{0, 0, 2, 20, 0, 0, 1, 10}));
    EXPECT_EQ(ElementsOf<std::string>(out.at("wild")), (Strings{"the", "wolf", "saw", "cat"}));
    EXPECT_EQ(ElementsOf<std::string>(out.at("pairs")),
              (Strings{"thedog", "wolfdog", "sawdog", "catdog", "dogdog"}));
    EXPECT_EQ(ElementsOf<bool>(out.at("short")), (std::vector<bool>{true, false, true, true}));
    // Another number of words.
    out = session.Run({{"words", Words({"cat"})}});
    EXPECT_EQ(ElementsOf<float>(out.at("rows")), (std::vector<float>{1, 10}));
    EXPECT_EQ(ElementsOf<std::string>(out.at("wild")), (Strings{"cat"}));
  }
}

TEST(StringsTest, ThroughNestedGraphsAndSequences) {
  // Each word split in two halves of the sequence: a Loop that appends to strings and to a sequence of
  // strings.
  ModelProto model = EmptyModel(20);
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "n", TensorProto::INT64);
  AddInput(graph, "word", kString);
  SetInt(Add(graph, "SequenceEmpty", {}, {"none"}), "dtype", kString);
  NodeProto* loop = Add(graph, "Loop", {"n", "", "word", "none"}, {"last", "stages", "all"});
  GraphProto* body = AddGraph(loop, "body");
  AddInput(body, "i", TensorProto::INT64);
  AddInput(body, "go", TensorProto::BOOL);
  AddInput(body, "w", kString);
  body->add_input()->set_name("s");
  SetSequence(body->mutable_input(3), kString);
  Add(body, "Identity", {"go"}, {"on"});
  AddWords(body, "bang", {"!"});
  Add(body, "StringConcat", {"w", "bang"}, {"w_out"});
  Add(body, "SequenceInsert", {"s", "w_out"}, {"s_out"});
  Add(body, "Identity", {"w"}, {"seen"});
  AddOutput(body, "on", TensorProto::BOOL);
  AddOutput(body, "w_out", kString);
  body->add_output()->set_name("s_out");
  SetSequence(body->mutable_output(2), kString);
  AddOutput(body, "seen", kString);
  AddOutput(graph, "last", kString);
  graph->add_output()->set_name("stages");
  SetSequence(graph->mutable_output(1), kString);
  AddOutput(graph, "all", kString);
  const Session session = Load(model, true);
  const auto out = session.Run({{"n", Tensor::Scalar<int64_t>(3)}, {"word", Words({"oh", ""})}});
  EXPECT_EQ(ElementsOf<std::string>(out.at("last")), (Strings{"oh!!!", "!!!"}));
  ASSERT_EQ(out.at("stages").items().size(), 3u);
  EXPECT_EQ(ElementsOf<std::string>(out.at("stages").items()[1]), (Strings{"oh!!", "!!"}));
  EXPECT_EQ(out.at("all").tensor().shape(), (Shape{3, 2}));
  EXPECT_EQ(ElementsOf<std::string>(out.at("all")), (Strings{"oh", "", "oh!", "!", "oh!!", "!!"}));
}

TEST(StringsTest, CountsGramsOfWords) {
  // TfIdfVectorizer on words, after StringSplit of a text; the counts go on into a matrix product.
  ModelProto model = EmptyModel(20);
  GraphProto* graph = model.mutable_graph();
  AddInput(graph, "texts", kString);
  NodeProto* split = Add(graph, "StringSplit", {"texts"}, {"words", "counts"});
  AddAttribute(split, "delimiter", AttributeProto::STRING)->set_s(" ");
  NodeProto* grams = Add(graph, "TfIdfVectorizer", {"words"}, {"frequencies"});
  AddAttribute(grams, "mode", AttributeProto::STRING)->set_s("TF");
  SetInt(grams, "min_gram_length", 1);
  SetInt(grams, "max_gram_length", 2);
  SetInt(grams, "max_skip_count", 0);
  SetInts(grams, "ngram_counts", {0, 2});
  SetInts(grams, "ngram_indexes", {0, 1, 2});
  SetStrings(grams, "pool_strings", {"a", "b", "a", "b"});
  AddFloats(graph, "weights", {3, 1}, {1, 10, 100});
  Add(graph, "MatMul", {"frequencies", "weights"}, {"y"});
  AddOutput(graph, "y");
  AddOutput(graph, "counts", TensorProto::INT64);
  const Session session = Load(model, true);
  const auto out = session.Run({{"texts", Words({"a b a", "b", "c a b a b"})}});
  EXPECT_EQ(ElementsOf<float>(out.at("y")), (std::vector<float>{112, 10, 222}));
  EXPECT_EQ(ElementsOf<int64_t>(out.at("counts")), (std::vector<int64_t>{3, 1, 5}));
}

}  // namespace
}  // namespace sluice::test
