// sluice detect: objects in pictures, with a model whose outputs are boxes and scores.
#include <algorithm>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sluice/session.h"
#include "tools/detections.h"
#include "tools/draw.h"
#include "tools/elements.h"
#include "tools/files.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

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
  float nms = 0.45f;
};

[[noreturn]] void Fail(const std::string& message) { throw Error(ErrorCode::kInvalidArgument, message); }

// A detector as `sluice detect` knows it: one input [1, 3, H, W] of RGB from 0 to 1, letterboxed, and
// the outputs `boxes` [1, K, 4] (left, top, right, bottom in pixels of the input) and `scores`
// [1, K, C]; the metadata `labels` names the classes.
class Detector {
 public:
  explicit Detector(const Options& options)
      : options_(options), session_(Session::Load(options.model.model, ToSessionOptions(options.model))) {
    for (const char* name : {"boxes", "scores"}) {
      const auto& outputs = session_.outputs();
      if (std::none_of(outputs.begin(), outputs.end(), [&](const ValueInfo& info) { return info.name == name; })) {
        Fail(fmt::format("'{}' is no detector that sluice knows: expected outputs 'boxes' and 'scores', found {}",
                         options.model.model, ListValues(outputs)));
      }
    }
    if (session_.inputs().size() != 1 || session_.inputs()[0].shape.size() != 4 ||
        session_.inputs()[0].shape[1] != 3) {
      Fail(fmt::format("'{}': expected one input [1, 3, H, W], found {}", options.model.model,
                       ListValues(session_.inputs())));
    }
    const auto labels = session_.metadata().find("labels");
    if (!options.names.empty()) {
      const std::vector<std::byte> bytes = ReadFile(options.names);
      labels_ = ParseLabels(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    } else if (labels != session_.metadata().end()) {
      labels_ = ParseLabels(labels->second);
    }
  }

  // Also the time that the model took, in milliseconds.
  std::vector<Detection> Run(const Picture& picture, double& ms) const {
    const ValueInfo& input = session_.inputs()[0];
    // Where the model leaves the size open: that of most detectors of its kind.
    constexpr int kDefaultSize = 416;
    const int height = input.shape[2] > 0 ? static_cast<int>(input.shape[2]) : kDefaultSize;
    const int width = input.shape[3] > 0 ? static_cast<int>(input.shape[3]) : kDefaultSize;
    Fit fit;
    const Tensor tensor = PictureToTensor(Letterbox(picture, width, height, &fit), PictureOptions(), input);
    const Stopwatch watch;
    NamedValues outputs = session_.Run({{input.name, tensor}});
    ms = watch.ms();
    std::vector<Detection> detections =
        Decode(outputs["boxes"].tensor(), outputs["scores"].tensor(), options_.threshold, options_.nms);
    MapBack(fit, picture.width, picture.height, detections);
    return detections;
  }

  std::string LabelOf(int label) const {
    return static_cast<size_t>(label) < labels_.size() ? labels_[static_cast<size_t>(label)]
                                                       : fmt::format("class {}", label);
  }

 private:
  const Options& options_;
  Session session_;
  std::vector<std::string> labels_;
};

void Draw(const Detector& detector, const std::vector<Detection>& detections, Picture& picture) {
  const int scale = std::max(1, std::max(picture.width, picture.height) / 500);
  // The best last, so that it is on top.
  for (auto it = detections.rbegin(); it != detections.rend(); ++it) {
    const Rgb color = ColorOf(it->label);
    const int left = static_cast<int>(it->box[0]), top = static_cast<int>(it->box[1]);
    DrawFrame(picture, left, top, static_cast<int>(it->box[2]), static_cast<int>(it->box[3]), 2 * scale, color);
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
    if (is_folder_) MakeDirectory(save_);
    else CheckPicturePath(save_);
  }
  std::string For(const std::string& picture) {
    if (!is_folder_) return save_;
    return fmt::format("{}/{}.png", save_, SafeFileName(std::filesystem::path(picture).stem().string(), taken_));
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
  SavePath save(options.save, options.pictures.size());
  Json json = Json::array();
  Progress progress("detecting");
  for (size_t i = 0; i < options.pictures.size(); ++i) {
    const std::string& path = options.pictures[i];
    progress.Show(static_cast<double>(i) / static_cast<double>(options.pictures.size()), path);
    Picture picture = ReadPicture(path);
    double ms = 0;
    const std::vector<Detection> detections = detector.Run(picture, ms);
    progress.Clear();
    fmt::print("{}: {} object{} in {}\n", path, detections.size(), detections.size() == 1 ? "" : "s", FormatMs(ms));
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
  verb->add_option("PICTURE", options->pictures, "JPEG or PNG files")->required();
  verb->add_option("--save", options->save, "Picture file (or folder, for several pictures) with the boxes drawn");
  verb->add_option("--threshold", options->threshold, "Lowest score of a detection (0.25)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--nms", options->nms, "Overlap from which the lesser of two of a class is dropped (0.45)")
      ->check(CLI::Range(0.0, 1.0));
  verb->add_option("--json", options->json, "File for the detections");
  verb->add_option("--names", options->names, "File with the names of the classes, one a line");
  AddThreadsOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  verb->footer("Example: sluice detect tools/data/shapes.onnx tools/data/shapes.png --save found.png");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
