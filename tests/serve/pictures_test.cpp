#include "tools/serve/pictures.h"

#include <unistd.h>

#include <filesystem>
#include <random>

#include "tests/serve/small_models.h"
#include "tools/detections.h"
#include "tools/files.h"
#include "tools/serve/recorder.h"

namespace sluice::serve::test {
namespace {

// A picture of noise, and the bytes of its PNG file.
struct File {
  tools::Picture picture;
  std::string bytes;
};
File Noise(int width, int height, unsigned seed) {
  File file{tools::Picture(width, height), ""};
  std::mt19937 random(seed);
  for (uint8_t& value : file.picture.rgb) value = static_cast<uint8_t>(random());
  const std::string path =
      (std::filesystem::temp_directory_path() / ("sluice_pictures_" + std::to_string(getpid()) + ".png"))
          .string();
  tools::WritePicture(path, file.picture);
  const std::vector<std::byte> bytes = tools::ReadFile(path);
  std::filesystem::remove(path);
  file.bytes.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return file;
}

InferRequest FilesRequest(const std::string& input, const std::vector<std::string>& files) {
  InferRequest request;
  request.inputs.push_back({.name = input,
                            .tensor = Tensor::From<std::string>({static_cast<int64_t>(files.size())}, files),
                            .parameters = {}});
  request.picture = input.empty();
  return request;
}

// x [batch, 3, 4, 6] -> y, the same: shows what a picture becomes.
std::shared_ptr<const Model> Mirror(ModelConfig config) {
  ModelProto proto = EmptyModel();
  SetOpenType(proto.mutable_graph()->add_input(), "x", {-1, 3, 4, 6});
  SetOpenType(proto.mutable_graph()->add_output(), "y", {-1, 3, 4, 6});
  AddNode(proto.mutable_graph(), "Identity", {"x"}, {"y"});
  config.pictures = true;
  return Serve(proto, "mirror", std::move(config));
}

std::vector<float> Expected(const Model& model, const tools::Picture& fitted) {
  ValueInfo info = model.session.inputs()[0];
  const Tensor tensor = tools::PictureToTensor(fitted, model.config.picture, info);
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

std::vector<float> ValuesOf(const Service::Answer& answer) {
  if (!std::holds_alternative<InferResponse>(answer)) throw std::runtime_error(TextOf(answer));
  const auto values = std::get<InferResponse>(answer).outputs.at(0).second.values<float>();
  return {values.begin(), values.end()};
}

TEST(Pictures, AreStretchedAndNormalised) {
  ModelConfig config;
  config.picture.mean = {"10", "20", "30"};
  config.picture.scale = {"1/50"};
  config.picture.color = "bgr";
  const auto model = Mirror(config);
  const File file = Noise(17, 9, 1);
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  EXPECT_EQ(ValuesOf(RunOne(scheduler, model, FilesRequest("", {file.bytes}))),
            Expected(*model, tools::Resize(file.picture, 6, 4)));
}

TEST(Pictures, AreLetterboxed) {
  ModelConfig config;
  config.letterbox = true;
  const auto model = Mirror(config);
  const File file = Noise(30, 10, 2);
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  EXPECT_EQ(ValuesOf(RunOne(scheduler, model, FilesRequest("x", {file.bytes}))),
            Expected(*model, tools::Letterbox(file.picture, 6, 4)));
}

TEST(Pictures, SeveralInARequestAreItsRows) {
  const auto model = Mirror({});
  const File a = Noise(17, 9, 3), b = Noise(4, 40, 4);
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  const Service::Answer answer = RunOne(scheduler, model, FilesRequest("x", {a.bytes, b.bytes}));
  std::vector<float> expected = Expected(*model, tools::Resize(a.picture, 6, 4));
  const std::vector<float> second = Expected(*model, tools::Resize(b.picture, 6, 4));
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(ValuesOf(answer), expected);
  EXPECT_EQ(std::get<InferResponse>(answer).outputs[0].second.shape(), (Shape{2, 3, 4, 6}));
}

TEST(Pictures, OfAllSizesShareBatches) {
  const auto model = Mirror({.max_batch_size = 4, .max_delay_us = 10'000'000});
  const auto busy = Serve(CountingModel(), "busy");
  std::vector<File> files;
  for (int i = 0; i < 4; ++i) files.push_back(Noise(5 + 20 * i, 60 - 10 * i, static_cast<unsigned>(i)));
  Recorder recorder;
  // One worker: it decodes what came while it was busy, and only then has a batch to run.
  Scheduler scheduler({.threads = 1}, recorder);
  Mailbox mailbox, other;
  InferRequest blocker = CountingRequest(kLong);
  const auto release = blocker.cancelled;
  scheduler.Submit(busy, std::move(blocker), other.Slot(0));
  for (int i = 0; i < 4; ++i)
    scheduler.Submit(model, FilesRequest("x", {files[static_cast<size_t>(i)].bytes}), mailbox.Slot(i));
  *release = true;
  int64_t largest = 0;
  for (const Mailbox::Letter& letter : mailbox.Wait(4)) {
    const tools::Picture& picture = files[static_cast<size_t>(letter.number)].picture;
    EXPECT_EQ(ValuesOf(letter.answer), Expected(*model, tools::Resize(picture, 6, 4)));
    EXPECT_GT(std::get<InferResponse>(letter.answer).timing.batch_ns, 0);
    largest = std::max(largest, std::get<InferResponse>(letter.answer).timing.batch_size);
  }
  EXPECT_EQ(largest, 4);
}

TEST(Pictures, ThatAreNoneAreRefused) {
  const auto model = Mirror({});
  const File file = Noise(17, 9, 5);
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  const auto refusal = [&](InferRequest request) {
    const Service::Answer answer = RunOne(scheduler, model, std::move(request));
    EXPECT_EQ(ReasonOf(answer), Reason::kInvalid);
    return TextOf(answer);
  };
  EXPECT_EQ(refusal(FilesRequest("x", {"hello"})),
            "'picture': begins like no picture, expected PNG, JPEG, JPEG 2000, WebP, TIFF, BMP or PNM");
  EXPECT_NE(refusal(FilesRequest("x", {file.bytes.substr(0, file.bytes.size() / 2)})), "");
  EXPECT_NE(refusal(FilesRequest("x", {file.bytes, "hello"})).find("'picture 1'"), std::string::npos);
  // A small file that says it is of 30000 x 30000 pixels.
  const std::string bomb = "P6 30000 30000 255\n";
  EXPECT_EQ(refusal(FilesRequest("", {bomb})),
            "'picture': a picture of 30000 x 30000 pixels, expected 1 to 50000000 of them");
  InferRequest matrix = FilesRequest("x", {file.bytes, file.bytes, file.bytes, file.bytes});
  matrix.inputs[0].tensor = matrix.inputs[0].tensor.Reshaped({2, 2});
  EXPECT_EQ(refusal(std::move(matrix)), "input 'x': expected picture files as BYTES [n], found BYTES [2, 2]");
}

TEST(Pictures, ConfigurationsThatDoNotFitAreRefused) {
  const auto linear = Serve(LinearModel(), "linear");
  EXPECT_THROW(PictureReader(linear->session, {.pictures = true}), Error);
  const auto mirror = Mirror({});
  EXPECT_THROW(PictureReader(mirror->session, {.pictures = true, .detect = true}), Error);
  ModelConfig config;
  config.picture.mean = {"1", "2"};
  EXPECT_THROW(PictureReader(mirror->session, config), Error);
}

// The network of the project's own data, which finds shapes, without the server and with it.
class Detector : public ::testing::Test {
 protected:
  static std::shared_ptr<const Model> Load(int64_t max_batch_size) {
    const std::string folder = std::string(SLUICE_SOURCE_DIR) + "/tools/data/";
    ModelConfig config;
    config.max_batch_size = max_batch_size;
    config.pictures = config.detect = true;
    Model model{.session = Session::Load(folder + "shapes.onnx"), .config = config, .info = {}};
    model.info.name = "shapes";
    model.info.version = "1";
    return std::make_shared<const Model>(std::move(model));
  }
  static std::string Shapes() {
    const auto bytes = tools::ReadFile(std::string(SLUICE_SOURCE_DIR) + "/tools/data/shapes.png");
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

TEST_F(Detector, AnswersWithBoxesInPixelsOfThePicture) {
  const auto model = Load(0);
  const tools::Picture picture =
      tools::ReadPicture(std::string(SLUICE_SOURCE_DIR) + "/tools/data/shapes.png");
  tools::Fit fit;
  const tools::Picture fitted = tools::Letterbox(picture, 160, 160, &fit);
  const NamedValues outputs =
      model->session.Run({{"image", tools::PictureToTensor(fitted, {}, model->session.inputs()[0])}});
  auto expected = tools::Decode(outputs.at("boxes").tensor(), outputs.at("scores").tensor(), 0.25f, 0.45f);
  tools::MapBack(fit, picture.width, picture.height, expected);

  Recorder recorder;
  Scheduler scheduler({}, recorder);
  const Service::Answer answer = RunOne(scheduler, model, FilesRequest("", {Shapes()}));
  ASSERT_TRUE(std::holds_alternative<InferResponse>(answer)) << TextOf(answer);
  const InferResponse& response = std::get<InferResponse>(answer);
  ASSERT_TRUE(response.detections);
  ASSERT_EQ(response.detections->size(), expected.size());
  ASSERT_EQ(expected.size(), 8u);
  ASSERT_EQ(response.outputs.size(), 4u);
  for (size_t i = 0; i < expected.size(); ++i) {
    const DetectedBox& box = (*response.detections)[i];
    EXPECT_EQ(box.score, expected[i].score);
    EXPECT_TRUE(std::equal(expected[i].box.begin(), expected[i].box.end(), box.box));
    EXPECT_EQ(response.outputs[0].second.values<float>()[4 * i], box.box[0]);
    EXPECT_EQ(response.outputs[2].second.values<std::string>()[i], box.label);
    EXPECT_EQ(response.outputs[3].second.values<int32_t>()[i], 0);
  }
  EXPECT_EQ(response.detections->front().label, "ring");
}

TEST_F(Detector, TellsTheBoxesOfSeveralPicturesApart) {
  const auto model = Load(4);
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  InferRequest request = FilesRequest("image", {Shapes(), Shapes()});
  request.outputs = {"pictures", "scores", "boxes"};
  const Service::Answer answer = RunOne(scheduler, model, std::move(request));
  ASSERT_TRUE(std::holds_alternative<InferResponse>(answer)) << TextOf(answer);
  const auto& outputs = std::get<InferResponse>(answer).outputs;
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_EQ(outputs[0].first, "pictures");
  const auto pictures = outputs[0].second.values<int32_t>();
  EXPECT_EQ(std::vector<int32_t>(pictures.begin(), pictures.end()),
            (std::vector<int32_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}));
}

TEST(TopClasses, ComeWithTheirLabels) {
  ModelConfig config;
  config.labels = {"small", "middle"};
  const auto model = Serve(LinearModel(), "linear", config);
  Recorder recorder;
  Scheduler scheduler({}, recorder);
  InferRequest request = LinearRequest(2, 0);
  request.parameters["top"] = int64_t{2};
  request.outputs = {"top_labels", "y", "top_indices"};
  const Service::Answer answer = RunOne(scheduler, model, std::move(request));
  ASSERT_TRUE(std::holds_alternative<InferResponse>(answer)) << TextOf(answer);
  const auto& outputs = std::get<InferResponse>(answer).outputs;
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_EQ(outputs[0].second.shape(), (Shape{2, 2}));
  // The third class has no label and the highest score.
  EXPECT_EQ(outputs[0].second.values<std::string>()[0], "2");
  EXPECT_EQ(outputs[0].second.values<std::string>()[1], "middle");
  EXPECT_EQ(outputs[2].second.values<int64_t>()[3], 1);
}

}  // namespace
}  // namespace sluice::serve::test
