// sluice detect: objects in pictures, with a model whose outputs are boxes and scores.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "sluice/session.h"
#include "tools/detections.h"
#include "tools/draw.h"
#include "tools/elements.h"
#include "tools/files.h"
#include "tools/find_pictures.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"
#include "tools/yolo.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelOptions model;
  std::vector<std::string> pictures;
  std::string save;
  std::string json;
  std::string names;
  float threshold = 0.25f;
  std::optional<float> nms;
  bool letterbox = false;
};

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

// A model with what is known of its outputs.
class Detector {
 public:
  explicit Detector(const Options& options)
      : options_(options), session_(Session::Load(options.model.model, ToSessionOptions(options.model))) {
    const auto format = FindFormat(session_.inputs(), session_.outputs(), session_.metadata());
    if (!format) {
      Fail(fmt::format(
          "'{}' is no detector that sluice knows: expected one input [1, 3, H, W] and outputs 'boxes' and "
          "'scores', or those of a YOLO model, found {} and {}",
          options.model.model, ListValues(session_.inputs()), ListValues(session_.outputs())));
    }
    format_ = *format;
    if (options.letterbox) format_.letterbox = true;
    labels_ = LabelsOf(session_.metadata());
    if (options.names.empty()) return;
    const std::vector<std::byte> bytes = ReadFile(options.names);
    labels_ = ParseLabels(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

  // Also the time that the model took, in milliseconds.
  std::vector<Detection> Run(const Picture& picture, double& ms) const {
    const ValueInfo& input = session_.inputs()[0];
    // Where the model leaves the size open: that of most detectors of its kind.
    constexpr int kDefaultSize = 416;
    const int height = input.shape[2] > 0 ? static_cast<int>(input.shape[2]) : kDefaultSize;
    const int width = input.shape[3] > 0 ? static_cast<int>(input.shape[3]) : kDefaultSize;
    Fit fit;
    const Picture fitted = FitInto(picture, width, height, &fit);
    PictureOptions pixels;
    pixels.scale = {format_.scale};
    pixels.color = format_.color;
    const Tensor tensor = PictureToTensor(fitted, pixels, input);
    const Stopwatch watch;
    const NamedValues outputs = session_.Run({{input.name, tensor}});
    ms = watch.ms();
    const BoxesAndScores found = DecodeOutputs(format_, outputs, width, height);
    std::vector<Detection> detections = Decode(found.boxes, found.scores, options_.threshold, nms());
    MapBack(fit, picture.width, picture.height, detections);
    return detections;
  }

  // A model that suppresses on its own has said all, unless asked for more: its boxes are cut at the borders,
  // which makes them overlap more than they did.
  float nms() const {
    constexpr float kDefault = 0.45f, kKeepAll = 1.0f;
    return options_.nms.value_or(format_.kind == DetectorFormat::Kind::kDecoded ? kKeepAll : kDefault);
  }

  std::string LabelOf(int label) const {
    return static_cast<size_t>(label) < labels_.size() ? labels_[static_cast<size_t>(label)]
                                                       : fmt::format("class {}", label);
  }

 private:
  Picture FitInto(const Picture& picture, int width, int height, Fit* fit) const {
    if (format_.letterbox)
      return Letterbox(picture, width, height, fit, format_.corner ? Align::kCorner : Align::kMiddle);
    *fit = {static_cast<double>(width) / picture.width, static_cast<double>(height) / picture.height, 0, 0};
    return Resize(picture, width, height);
  }

  const Options& options_;
  Session session_;
  DetectorFormat format_;
  std::vector<std::string> labels_;
};

void Draw(const Detector& detector, const std::vector<Detection>& detections, Picture& picture) {
  const int scale = std::max(1, std::max(picture.width, picture.height) / 500);
  // The best last, so that it is on top.
  for (auto it = detections.rbegin(); it != detections.rend(); ++it) {
    const Rgb color = ColorOf(it->label);
    const int left = static_cast<int>(it->box[0]), top = static_cast<int>(it->box[1]);
    DrawFrame(picture, left, top, static_cast<int>(it->box[2]), static_cast<int>(it->box[3]), 2 * scale,
              color);
    const std::string text = fmt::format("{} {:.0f}%", detector.LabelOf(it->label), 100 * it->score);
    const int width = TextWidth(text, scale) + 2 * scale, height = TextHeight(scale) + 2 * scale;
    const int x = std::max(0, std::min(left, picture.width - width)), y = top >= height ? top - height : top;
    FillBox(picture, x, y, x + width, y + height, color);
    const bool bright = 2 * color[0] + 3 * color[1] + color[2] > 3 * 255;
    DrawText(picture, x + scale, y + scale, text, scale, bright ? Rgb{0, 0, 0} : Rgb{255, 255, 255});
  }
}

// Where the drawn picture goes: the file itself, or in a folder under the picture's own name.
class SavePath {
 public:
  SavePath(const std::string& save, size_t pictures)
      : save_(save), is_folder_(pictures > 1 || save.ends_with('/') || std::filesystem::is_directory(save)) {
    if (save_.empty()) return;
    if (is_folder_)
      MakeDirectory(save_);
    else
      CheckPicturePath(save_);
  }
  std::string For(const std::string& picture) {
    if (!is_folder_) return save_;
    const std::string name = SafeFileName(std::filesystem::path(picture).stem().string(), taken_);
    return (std::filesystem::path(save_) / (name + ".png")).string();
  }

 private:
  std::string save_;
  bool is_folder_;
  std::set<std::string> taken_;
};

Json ToJson(const Detector& detector, const std::string& picture, const std::vector<Detection>& detections) {
  Json list = Json::array();
  for (const Detection& detection : detections) {
    list.push_back(
        {{"label", detector.LabelOf(detection.label)}, {"score", detection.score}, {"box", detection.box}});
  }
  return {{"picture", picture}, {"detections", std::move(list)}};
}

int Run(const Options& options) {
  const Detector detector(options);
  const std::vector<std::string> pictures = FindPictures(options.pictures);
  SavePath save(options.save, pictures.size());
  Json json = Json::array();
  Progress progress("detecting");
  for (size_t i = 0; i < pictures.size(); ++i) {
    const std::string& path = pictures[i];
    progress.Show(static_cast<double>(i) / static_cast<double>(pictures.size()), path);
    Picture picture = ReadPicture(path);
    double ms = 0;
    const std::vector<Detection> detections = detector.Run(picture, ms);
    progress.Clear();
    fmt::print("{}: {} object{} in {}\n", path, detections.size(), detections.size() == 1 ? "" : "s",
               FormatMs(ms));
    for (const Detection& detection : detections) {
      fmt::print("  {:<12} {:.2f}  box {:.0f} {:.0f} {:.0f} {:.0f}\n", detector.LabelOf(detection.label),
                 detection.score, detection.box[0], detection.box[1], detection.box[2], detection.box[3]);
    }
    json.push_back(ToJson(detector, path, detections));
    if (options.save.empty()) continue;
    Draw(detector, detections, picture);
    const std::string target = save.For(path);
    WritePicture(target, picture);
    fmt::print("  drawn in {}\n", target);
  }
  if (!options.json.empty()) {
    WriteFile(options.json, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  return 0;
}

}  // namespace

Verb AddDetect(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("detect", "Finds objects in pictures and draws their boxes");
  auto options = std::make_shared<Options>();
  AddModelOption(*verb, options->model);
  verb->add_option("PICTURE", options->pictures, "JPEG or PNG files, folders of them, or patterns in quotes")
      ->required();
  verb->add_option("--save", options->save,
                   "Picture file (or folder, for several pictures) with the boxes drawn");
  verb->add_option("--threshold", options->threshold, "Lowest score of a detection (0.25)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option(
          "--nms", options->nms,
          "Overlap from which the lesser of two of a class is dropped (0.45; none where the model does so)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--json", options->json, "File for the detections");
  verb->add_option("--names", options->names, "File with the names of the classes, one a line");
  verb->add_flag("--letterbox", options->letterbox,
                 "Keeps the picture's proportions where the model's kind stretches it");
  AddThreadsOption(*verb, options->model);
  AddShapeOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  AddKernelOptions(*verb, options->model);
  verb->footer("Example: sluice detect tools/data/shapes.onnx tools/data/shapes.png --save found.png");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
