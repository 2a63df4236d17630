#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/serve/http/server.h"

namespace sluice::serve {
namespace {

using nlohmann::json;

class InferTest : public HttpTest {
 protected:
  // The output of the echo for one input given as JSON.
  json Echo(const std::string& datatype, const std::string& shape, const std::string& data) {
    const auto answer = Infer(Request(datatype, shape, data));
    EXPECT_EQ(answer.status, 200) << answer.body;
    if (answer.status != 200) return {};
    return json::parse(answer.body)["outputs"][0];
  }
  // The error for one input given as JSON.
  std::string Refusal(const std::string& datatype, const std::string& shape, const std::string& data) {
    return Refusal(Request(datatype, shape, data));
  }
  std::string Refusal(const std::string& body, const std::string& headers = "", int status = 400) {
    const int before = service_.infers;
    const auto answer = Infer(body, headers);
    EXPECT_EQ(answer.status, status) << body.substr(0, 200);
    EXPECT_EQ(service_.infers, before);
    return json::parse(answer.body).value("error", "");
  }
  static std::string Request(const std::string& datatype, const std::string& shape, const std::string& data) {
    return R"({"inputs":[{"name":"x","shape":)" + shape + R"(,"datatype":")" + datatype + R"(","data":)" +
           data + "}]}";
  }
};

TEST_F(InferTest, EchoesEveryTypeInJson) {
  const std::pair<const char*, const char*> cases[] = {
      {"BOOL", "[true,false]"},
      {"UINT8", "[0,255]"},
      {"UINT16", "[0,65535]"},
      {"UINT32", "[0,4294967295]"},
      {"UINT64", "[0,18446744073709551615]"},
      {"INT8", "[-128,127]"},
      {"INT16", "[-32768,32767]"},
      {"INT32", "[-2147483648,2147483647]"},
      {"INT64", "[-9223372036854775808,9223372036854775807]"},
      {"FP16", "[1.5,-65504]"},
      {"FP32", "[0.1,-3.4028235e+38]"},
      {"FP64", "[0.1,1.7976931348623157e+308]"},
      {"BYTES", R"(["","\u00e9 \"\\\n"])"},
  };
  for (const auto& [datatype, data] : cases) {
    const json output = Echo(datatype, "[2]", data);
    EXPECT_EQ(output["name"], "x");
    EXPECT_EQ(output["datatype"], datatype);
    EXPECT_EQ(output["shape"], json({2}));
    if (std::string_view(datatype) == "FP32")
      EXPECT_EQ(output["data"][0].get<float>(), 0.1f);
    else
      EXPECT_EQ(output["data"], json::parse(data)) << datatype;
  }
}

TEST_F(InferTest, TakesNestedAndFlatDataAndAnyOrderOfFields) {
  const json expected = {1, 2, 3, 4, 5, 6};
  for (const char* data :
       {"[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]", "[[[1],[2],[3]],[[4],[5],[6]]]", "[[1,2],3,[4,[5,6]]]"})
    EXPECT_EQ(Echo("INT32", "[2,3]", data)["data"], expected) << data;
  const auto answer = Infer(
      R"( {"unknown":[{"a":[1]},null],"outputs":[{"name":"x"}],"inputs":[{"data":[[7]],"more":{"x":1},"datatype":"INT8",)"
      R"("shape":[1,1],"name":"x"}],"model_name":"y"} )");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body)["outputs"][0]["data"], json({7}));
  EXPECT_EQ(Echo("FP32", "[]", "[5]")["data"], json({5}));
  EXPECT_EQ(Echo("FP32", "[0,3]", "[]")["data"], json::array());
  EXPECT_EQ(Echo("BOOL", "[2]", "[1,0]")["data"], json({true, false}));
}

TEST_F(InferTest, SpeaksOfNaNAndInfinitiesAsStrings) {
  for (const char* data : {R"(["NaN","Infinity","-Infinity"])", "[NaN, Infinity ,-Infinity]"})
    for (const char* datatype : {"FP16", "FP32", "FP64"})
      EXPECT_EQ(Echo(datatype, "[3]", data)["data"], json({"NaN", "Infinity", "-Infinity"})) << data;
  EXPECT_NE(Refusal("INT32", "[1]", "[NaN]"), "");
  EXPECT_NE(Refusal("FP32", "[1]", "[nan]"), "");
}

TEST_F(InferTest, RefusesElementsThatTheTypeCannotHold) {
  const std::pair<const char*, const char*> cases[] = {
      {"BOOL", "2"},     {"BOOL", "\"true\""}, {"UINT8", "256"},
      {"UINT8", "-1"},   {"INT8", "128"},      {"UINT32", "-1"},
      {"INT32", "1.5"},  {"INT64", "1e3"},     {"INT64", "9223372036854775808"},
      {"UINT64", "-1"},  {"FP32", "1e39"},     {"FP16", "1e5"},
      {"FP64", "1e999"}, {"FP32", "\"1\""},    {"FP32", "null"},
      {"BYTES", "1"},    {"INT32", "{}"},      {"FP32", "tru"},
      {"FP32", "01"},
  };
  for (const auto& [datatype, element] : cases)
    EXPECT_EQ(Refusal(datatype, "[1]", std::string("[").append(element).append("]")),
              "input 'x': element 0 of data is not " + std::string(datatype))
        << element;
  EXPECT_EQ(Refusal("BF16", "[1]", "[1]"), "input 'x': BF16 comes as binary data only");
  EXPECT_EQ(Refusal("FP8", "[1]", "[1]"), "datatype 'FP8' is not known");
}

TEST_F(InferTest, ChecksShapes) {
  EXPECT_EQ(Refusal("INT8", "[2]", "[1]"), "input 'x': expected 2 elements of data, as shape says, found 1");
  EXPECT_EQ(Refusal("INT8", "[2]", "[1,2,3]"),
            "input 'x': expected 2 elements of data, as shape says, found more");
  EXPECT_EQ(Refusal("INT8", "[-1]", "[1]"), "a shape holds more than sizes from 0 on");
  EXPECT_EQ(Refusal("INT8", "[1.5]", "[1]"), "a shape holds more than sizes from 0 on");
  EXPECT_EQ(Refusal("INT8", "[1e3]", "[1]"), "a shape holds more than sizes from 0 on");
  EXPECT_EQ(Refusal("INT8", "[99999999999999999999]", "[1]"), "a shape holds more than sizes from 0 on");
  EXPECT_NE(Refusal("INT8", "1", "[1]"), "");
  EXPECT_EQ(Refusal("FP64", "[4294967296,4294967296,16]", "[1]"),
            "input 'x': shape [4294967296, 4294967296, 16] holds more elements than can be counted");
  EXPECT_EQ(Refusal("FP64", "[9223372036854775807]", "[1]"),
            "input 'x': shape says 9223372036854775807 elements, which data cannot hold");
  std::string many = "[1";
  for (int i = 0; i < 100; ++i) many += ",1";
  EXPECT_EQ(Refusal("INT8", many + "]", "[1]"), "a shape has more than 64 dimensions");
}

TEST_F(InferTest, RefusesWhatIsNoRequest) {
  for (const char* body : {"", "{", "[]", "null", "{}", "{\"inputs\":[]}", "{\"inputs\":{}}",
                           "{\"inputs\":[1]}", "x", "{\"inputs\":[{\"name\":\"x\"}]}", "{\"inputs\":[",
                           "{\"inputs\":[{\"name\":\"\\ud800\"}]}", "{\"inputs\":[{\"name\":\"\xff\"}]}"})
    EXPECT_NE(Refusal(body), "") << body;
  const std::string tensor = R"({"name":"x","shape":[1],"datatype":"INT8","data":[1]})";
  EXPECT_EQ(Refusal(R"({"inputs":[)" + tensor + "," + tensor + "]}"), "input 'x' is there twice");
  EXPECT_EQ(Refusal(R"({"inputs":[)" + tensor + R"(],"outputs":[{"name":"y"},{"name":"y"}]})"),
            "output 'y' is there twice");
  EXPECT_EQ(Refusal(R"({"inputs":[)" + tensor + R"(],"inputs":[]})"), "'inputs' is there twice");
  EXPECT_EQ(Refusal(R"({"inputs":[)" + tensor + "]}{}"), "the request's JSON ends before the text does");
  EXPECT_EQ(Refusal(R"({"inputs":[)" + tensor + R"(],"parameters":{"a":[1]}})"),
            "parameter 'a' is neither string, number nor boolean");
  EXPECT_EQ(Refusal(R"({"inputs":[)" + tensor + R"(],"parameters":{"binary_data_output":1}})"),
            "parameter 'binary_data_output' is not a boolean");
  EXPECT_EQ(
      Refusal(R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","datatype":"INT8","data":[1]}]})"),
      "'datatype' of an input is there twice");
  EXPECT_EQ(
      Refusal(
          R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1}}]})"),
      "input 'x' has binary_data_size, but the request no Inference-Header-Content-Length");
  Refusal(
      R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"shared_memory_region":"r"}}]})",
      "", 501);
}

TEST_F(InferTest, PassesParametersAndOutputsToTheService) {
  InferRequest seen;
  service_.on_infer = [&](InferRequest request, auto done) {
    InferResponse response = FakeService::Echo(request);
    response.parameters = {{"s", std::string("\"")}, {"n", int64_t{-1}}, {"b", true}};
    seen = std::move(request);
    done(std::move(response));
  };
  const auto answer = Infer(
      R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"p":0.5},"data":[1]}],)"
      R"("parameters":{"timeout":5,"binary_data_output":false,"big":18446744073709551615,"t":true,"s":"x"},)"
      R"("outputs":[{"name":"b","parameters":{"binary_data":false}},{"name":"a"}]})");
  EXPECT_EQ(answer.status, 200) << answer.body;
  const Parameters expected = {
      {"timeout", int64_t{5}}, {"big", ~uint64_t{0}}, {"t", true}, {"s", std::string("x")}};
  EXPECT_EQ(seen.parameters, expected);
  EXPECT_EQ(seen.inputs[0].parameters, (Parameters{{"p", 0.5}}));
  EXPECT_EQ(seen.outputs, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(json::parse(answer.body)["parameters"], json::parse(R"({"s":"\"","n":-1,"b":true})"));
}

TEST_F(InferTest, BorrowsBinaryTensorsAndAnswersThemSo) {
  bool borrowed = false;
  service_.on_infer = [&](InferRequest request, auto done) {
    const auto address = reinterpret_cast<uintptr_t>(request.inputs[0].tensor.data());
    borrowed = address % 64 == 0 && request.keep_alive != nullptr;
    done(FakeService::Echo(request));
  };
  const std::vector<float> values = {1, -0.0f, std::numeric_limits<float>::quiet_NaN(), 3};
  for (const char* more : {R"(,"parameters":{"binary_data_output":true})",
                           R"(,"outputs":[{"name":"x","parameters":{"binary_data":true}}])"}) {
    const BinaryRequest request = BinaryInfer("x", "FP32", "[2,2]", BytesOf(values), more);
    const auto answer = Infer(request.body, request.headers);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(borrowed);
    EXPECT_EQ(answer.headers.at("content-type"), "application/octet-stream");
    const size_t json_bytes = std::stoul(answer.headers.at("inference-header-content-length"));
    const json head = json::parse(answer.body.substr(0, json_bytes));
    EXPECT_EQ(head["outputs"][0]["parameters"]["binary_data_size"], 16);
    EXPECT_FALSE(head["outputs"][0].contains("data"));
    EXPECT_EQ(answer.body.substr(json_bytes), BytesOf(values));
  }
  // Without the wish, JSON.
  const BinaryRequest request = BinaryInfer("x", "INT64", "[1]", BytesOf<int64_t>({-5}));
  const auto answer = Infer(request.body, request.headers);
  EXPECT_EQ(json::parse(answer.body)["outputs"][0]["data"], json({-5}));
  EXPECT_FALSE(answer.headers.contains("inference-header-content-length"));
}

TEST_F(InferTest, TakesEveryTypeInBinaryAlignedOrNot) {
  for (const char* datatype : {"BOOL", "UINT8", "INT8", "FP16", "BF16", "UINT16", "INT16", "FP32", "UINT32",
                               "INT32", "FP64", "UINT64", "INT64"}) {
    const std::string_view name = datatype;
    const size_t elem = name == "BOOL" || name.ends_with("T8") ? 1
                        : name.ends_with("16")                 ? 2
                        : name.ends_with("32")                 ? 4
                                                               : 8;
    std::string bytes(3 * elem, '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = name == "BOOL" ? i % 2 : static_cast<char>(i + 1);
    // The first input shifts the second off its alignment.
    const std::string head =
        R"({"inputs":[{"name":"o","shape":[1],"datatype":"UINT8","parameters":{"binary_data_size":1}},)"
        R"({"name":"x","shape":[3],"datatype":")" +
        std::string(name) + R"(","parameters":{"binary_data_size":)" + std::to_string(bytes.size()) +
        R"(}}],"parameters":{"binary_data_output":true}})";
    const auto answer =
        Infer(head + "z" + bytes, "Inference-Header-Content-Length: " + std::to_string(head.size()) + "\r\n");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.body.substr(std::stoul(answer.headers.at("inference-header-content-length"))),
              "z" + bytes)
        << name;
  }
  // Bytes that are neither 0 nor 1 are true.
  const BinaryRequest request = BinaryInfer("x", "BOOL", "[3]", std::string("\x00\x02\xff", 3));
  EXPECT_EQ(json::parse(Infer(request.body, request.headers).body)["outputs"][0]["data"],
            json({false, true, true}));
}

TEST_F(InferTest, TakesStringsInBinary) {
  const std::string bytes = std::string("\x03\0\0\0abc\0\0\0\0\x01\0\0\0\xff", 16);
  const BinaryRequest request =
      BinaryInfer("x", "BYTES", "[3]", bytes, R"(,"parameters":{"binary_data_output":true})");
  const auto answer = Infer(request.body, request.headers);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body.substr(std::stoul(answer.headers.at("inference-header-content-length"))), bytes);
  // In JSON the last is no text.
  const BinaryRequest as_json = BinaryInfer("x", "BYTES", "[3]", bytes);
  const auto refused = Infer(as_json.body, as_json.headers);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body, R"({"error":"output 'x' holds bytes that are no text: ask for binary_data"})");
}

TEST_F(InferTest, RefusesBinaryThatDoesNotFit) {
  const auto refusal = [&](const std::string& type, const std::string& shape, const std::string& bytes) {
    const BinaryRequest request = BinaryInfer("x", type, shape, bytes);
    return Refusal(request.body, request.headers);
  };
  EXPECT_EQ(refusal("FP32", "[2]", "abcd"),
            "input 'x': binary_data_size is 4, but shape [2] of 4 bytes an element needs another");
  EXPECT_NE(refusal("FP32", "[4611686018427387904]", ""), "");
  EXPECT_NE(refusal("FP32", "[4611686018427387905]", "abcd"), "");
  EXPECT_EQ(refusal("BYTES", "[2]", std::string("\x01\0\0\0a", 5)),
            "input 'x': 2 strings do not fit in 5 bytes");
  EXPECT_EQ(refusal("BYTES", "[1]", std::string("\xff\xff\xff\xff", 4)),
            "input 'x': a string of 4294967295 bytes, but 0 are left");
  EXPECT_EQ(refusal("BYTES", "[2]", std::string("\x03\0\0\0abc\0\0", 9)),
            "input 'x': a string's length is cut off");
  EXPECT_EQ(refusal("BYTES", "[1]", std::string("\0\0\0\0x", 5)),
            "input 'x': 1 bytes behind its last string");
  const BinaryRequest good = BinaryInfer("x", "FP32", "[1]", "abcd");
  EXPECT_EQ(Refusal(good.body + "z", good.headers), "1 bytes behind the JSON belong to no input");
  EXPECT_NE(Refusal(good.body.substr(0, good.body.size() - 1), good.headers), "");
  const auto header = [](const std::string& value) {
    return "Inference-Header-Content-Length: " + value + "\r\n";
  };
  EXPECT_EQ(Refusal(good.body, header("100000")),
            "Inference-Header-Content-Length is 100000, but the body has " +
                std::to_string(good.body.size()) + " bytes");
  for (const char* value : {"-1", "1x", "x", "18446744073709551616", "1 2"})
    EXPECT_EQ(Refusal(good.body, header(value)), "Inference-Header-Content-Length is not a number of bytes")
        << value;
  EXPECT_NE(Refusal(good.body, header("5")), "");
  EXPECT_NE(
      Refusal(
          R"({"inputs":[{"name":"x","shape":[0],"datatype":"INT8","parameters":{"binary_data_size":-1}}]})",
          header("86")),
      "");
}

TEST_F(InferTest, TakesRawRequests) {
  InferRequest seen;
  service_.on_infer = [&](InferRequest request, auto done) {
    InferResponse response;
    response.model = request.model;
    response.outputs.emplace_back("y", Tensor::From<float>({1}, std::vector<float>{2}));
    seen = std::move(request);
    done(std::move(response));
  };
  const auto answer = Infer("0123456789", "Inference-Header-Content-Length: 0\r\n");
  EXPECT_TRUE(seen.raw);
  EXPECT_EQ(seen.inputs[0].tensor.shape(), Shape{10});
  EXPECT_EQ(seen.inputs[0].name, "");
  EXPECT_EQ(answer.body.substr(std::stoul(answer.headers.at("inference-header-content-length"))),
            BytesOf<float>({2}));
}

TEST_F(InferTest, ClassifiesOutputs) {
  service_.info.labels = {"cat", "dog"};
  const auto classify = [&](const std::string& shape, const std::string& data, const std::string& count) {
    return Infer(R"({"inputs":[{"name":"x","shape":)" + shape + R"(,"datatype":"FP32","data":)" + data +
                 R"(}],"outputs":[{"name":"x","parameters":{"classification":)" + count + "}}]}");
  };
  const json rows = json::parse(classify("[2,3]", "[1,2,0.5,0,0,5]", "2").body)["outputs"][0];
  EXPECT_EQ(rows["datatype"], "BYTES");
  EXPECT_EQ(rows["shape"], json({2, 2}));
  EXPECT_EQ(rows["data"], json({"2.000000:1:dog", "1.000000:0:cat", "5.000000:2", "0.000000:0:cat"}));
  const json one = json::parse(classify("[3]", R"(["NaN",1,2])", "9").body)["outputs"][0];
  EXPECT_EQ(one["data"], json({"2.000000:2", "1.000000:1:dog", "nan:0:cat"}));
  EXPECT_EQ(json::parse(classify("[0,3]", "[]", "1").body)["outputs"][0]["data"], json::array());
  EXPECT_EQ(classify("[1]", "[1]", "0").status, 400);
  EXPECT_EQ(classify("[1]", "[1]", "1.5").status, 400);
}

TEST_F(InferTest, TakesPictures) {
  InferRequest seen;
  service_.on_infer = [&](InferRequest request, auto done) {
    InferResponse response;
    response.model = request.model;
    response.version = "1";
    response.detections.emplace();
    response.detections->push_back({"dog \"x\"", 0.875f, {1, 2.25f, 3, 4}});
    seen = std::move(request);
    done(std::move(response));
  };
  const std::string jpeg = "\xff\xd8\xff\xe0 and so on";
  for (const auto& [body, type] :
       {std::pair<std::string, std::string>{jpeg, "application/x-www-form-urlencoded"},
        {"\x89PNG\r\n\x1a\n....", "x/y"},
        {"anything", "image/x-something"}}) {
    const auto answer = Infer(body, "Content-Type: " + type + "\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(seen.picture);
    EXPECT_EQ(seen.inputs[0].tensor.values<std::string>()[0], body);
    EXPECT_EQ(answer.body, R"({"model_name":"echo","model_version":"1","detections":[{"label":"dog \"x\"",)"
                           R"("score":0.8750,"box":[1.0,2.2,3.0,4.0]}]})"
                           "\n");
    EXPECT_TRUE(answer.headers.contains("server-timing"));
  }
}

}  // namespace
}  // namespace sluice::serve
