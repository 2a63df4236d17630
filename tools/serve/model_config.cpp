#include "tools/serve/model_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "sluice/error.h"
#include "tools/detections.h"
#include "tools/files.h"
#include "tools/preprocess.h"

namespace sluice::serve {
namespace {

using Json = nlohmann::ordered_json;

// Where a value stands, for messages.
struct Place {
  std::string file, folder, key;

  [[noreturn]] void Fail(const std::string& expected, const Json& found) const {
    std::string text = found.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} is {}, expected {}", file, key, text, expected));
  }
};

struct Key {
  std::string name, expected, help;
  std::function<void(const Json&, const Place&, ModelConfig&)> set;
};

int64_t Whole(const Json& json, const Place& place, int64_t least, int64_t most) {
  const std::string expected = most == std::numeric_limits<int64_t>::max()
                                   ? fmt::format("a whole number of at least {}", least)
                                   : fmt::format("a whole number from {} to {}", least, most);
  if (!json.is_number_integer()) place.Fail(expected, json);
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    place.Fail(expected, json);
  }
  const auto value = json.get<int64_t>();
  if (value < least || value > most) place.Fail(expected, json);
  return value;
}

float Fraction(const Json& json, const Place& place) {
  if (!json.is_number() || json.get<double>() < 0 || json.get<double>() > 1)
    place.Fail("a number from 0 to 1", json);
  return json.get<float>();
}

bool Truth(const Json& json, const Place& place) {
  if (!json.is_boolean()) place.Fail("true or false", json);
  return json.get<bool>();
}

std::string Word(const Json& json, const Place& place, std::span<const std::string_view> allowed) {
  if (!json.is_string() ||
      std::find(allowed.begin(), allowed.end(), json.get<std::string>()) == allowed.end())
    place.Fail(fmt::format("one of {}", fmt::join(allowed, ", ")), json);
  return json.get<std::string>();
}

// "640x480", or [640, 480]: width and height.
std::string SizeText(const Json& json, const Place& place) {
  constexpr const char* kExpected = "\"WxH\" with sizes from 1 to 16384";
  if (!json.is_string()) place.Fail(kExpected, json);
  try {
    const tools::Size size = tools::ParseSize(json.get<std::string>());
    if (size.width < 1 || size.height < 1 || size.width > 16384 || size.height > 16384)
      place.Fail(kExpected, json);
  } catch (const Error&) {
    place.Fail(kExpected, json);
  }
  return json.get<std::string>();
}

// A number, "1/255", or a list of them, one a channel.
std::vector<std::string> Numbers(const Json& json, const Place& place) {
  constexpr const char* kExpected = "a number, a text like \"1/255\", or a list of up to 4 of them";
  const auto one = [&](const Json& item) -> std::string {
    if (item.is_number()) return fmt::format("{}", item.get<double>());
    if (!item.is_string() || item.get<std::string>().empty() ||
        item.get<std::string>().find_first_not_of("0123456789.+-eE/") != std::string::npos) {
      place.Fail(kExpected, json);
    }
    return item.get<std::string>();
  };
  if (!json.is_array()) return {one(json)};
  if (json.empty() || json.size() > 4) place.Fail(kExpected, json);
  std::vector<std::string> numbers;
  for (const Json& item : json) numbers.push_back(one(item));
  return numbers;
}

std::vector<std::string> Labels(const Json& json, const Place& place) {
  constexpr const char* kExpected = "a list of names, or the name of a file beside this one that has them";
  if (json.is_array()) {
    for (const Json& item : json)
      if (!item.is_string()) place.Fail(kExpected, json);
    return json.get<std::vector<std::string>>();
  }
  if (!json.is_string()) place.Fail(kExpected, json);
  const std::string name = json.get<std::string>();
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos)
    place.Fail(kExpected, json);
  const std::string path = place.folder + "/" + name;
  if (std::filesystem::is_symlink(path)) place.Fail("a file, not a symbolic link", json);
  std::vector<std::byte> bytes;
  try {
    bytes = tools::ReadFile(path);
  } catch (const Error&) {
    place.Fail("a file that is there", json);
  }
  return tools::ParseLabels(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::map<std::string, Shape> Shapes(const Json& json, const Place& place) {
  constexpr const char* kExpected = "an object of lists of sizes, -1 for an open one";
  if (!json.is_object()) place.Fail(kExpected, json);
  std::map<std::string, Shape> shapes;
  for (const auto& [name, sizes] : json.items()) {
    if (!sizes.is_array() || sizes.size() > 16) place.Fail(kExpected, json);
    for (const Json& size : sizes)
      shapes[name].push_back(Whole(size, place, -1, std::numeric_limits<int32_t>::max()));
    if (sizes.empty()) shapes[name] = {};
  }
  return shapes;
}

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr std::string_view kLayouts[] = {"auto", "nchw", "nhwc"};
constexpr std::string_view kColors[] = {"auto", "rgb", "bgr", "gray"};

void SetObject(const Json& json, const Place& place, const std::vector<Key>& keys, ModelConfig& config);

const std::vector<Key>& PictureKeys() {
  static const std::vector<Key> keys = {
      {"resize", "\"WxH\"", "stretched to this size",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.picture.resize = SizeText(json, place);
         config.picture.letterbox.clear();
         config.letterbox = false;
       }},
      {"letterbox", "\"WxH\" or bool", "fitted into this size, or the input's, proportions kept",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.letterbox = !json.is_boolean() || json.get<bool>();
         config.picture.letterbox = json.is_boolean() ? "" : SizeText(json, place);
         if (config.letterbox) config.picture.resize.clear();
       }},
      {"mean", "number(s)", "value = (pixel - mean) * scale; one, or one a channel (0)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.picture.mean = Numbers(json, place);
       }},
      {"scale", "number(s)", "\"1/255\" is allowed (1/255 for floats, 1 for integers)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.picture.scale = Numbers(json, place);
       }},
      {"layout", "string", "nchw, nhwc (auto)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.picture.layout = Word(json, place, kLayouts);
       }},
      {"color", "string", "rgb, bgr, gray (auto)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.picture.color = Word(json, place, kColors);
       }},
  };
  return keys;
}

const std::vector<Key>& DetectKeys() {
  static const std::vector<Key> keys = {
      {"threshold", "number", "lowest score of a box (0.25)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.threshold = Fraction(json, place);
       }},
      {"nms", "number", "overlap above which the better of two boxes stays alone (0.45)",
       [](const Json& json, const Place& place, ModelConfig& config) { config.nms = Fraction(json, place); }},
  };
  return keys;
}

const std::vector<Key>& Keys() {
  static const std::vector<Key> keys = {
      {"max_batch_size", "int", "requests of up to this many rows run together; 0: as they come (0)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.max_batch_size = Whole(json, place, 0, 65536);
       }},
      {"max_delay_us", "int", "that a request may wait for others; less where that saves nothing (2000)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.max_delay_us = Whole(json, place, 0, 60'000'000);
       }},
      {"max_queue", "int", "requests that may wait; one more is refused (256)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.max_queue = Whole(json, place, 1, 1 << 20);
       }},
      {"default_timeout_us", "int", "of requests that state none; 0: none (0)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.default_timeout_us = Whole(json, place, 0, kMost / 1000);
       }},
      {"max_timeout_us", "int", "longest that a request may ask for; 0: any (0)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.max_timeout_us = Whole(json, place, 0, kMost / 1000);
       }},
      {"default_priority", "int", "of requests that state none; 1 runs first, 100 last (10)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.default_priority = static_cast<int>(Whole(json, place, 1, kLastPriority));
       }},
      {"warm_up", "bool", "one run on zeros of the smallest shapes before it serves (true)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.warm_up = Truth(json, place);
       }},
      {"shapes", "object", "{\"NAME\": [1, 3, -1, -1]}: replace declared shapes of inputs, -1 is open",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.shapes = Shapes(json, place);
       }},
      {"pictures", "bool or object", "picture files are taken for the input; how they become it:",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.pictures = json.is_object() || Truth(json, place);
         config.find_detector = false;
         if (json.is_object()) SetObject(json, place, PictureKeys(), config);
         if (json.is_object() && json.contains("resize") && json.contains("letterbox") &&
             json["letterbox"] != false)
           place.Fail("either resize or letterbox", json);
       }},
      {"detect", "bool or object", "pictures are answered with boxes (true for known detectors):",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.detect = json.is_object() || Truth(json, place);
         config.find_detector = false;
         if (json.is_object()) SetObject(json, place, DetectKeys(), config);
         if (config.detect) config.pictures = true;
       }},
      {"labels", "list or string", "names of classes, or a file beside it that has them (the model's own)",
       [](const Json& json, const Place& place, ModelConfig& config) {
         config.labels = Labels(json, place);
       }},
  };
  return keys;
}

void SetObject(const Json& json, const Place& place, const std::vector<Key>& keys, ModelConfig& config) {
  for (const auto& [name, value] : json.items()) {
    const std::string path = place.key.empty() ? name : place.key + "." + name;
    const auto known =
        std::find_if(keys.begin(), keys.end(), [&, &key = name](const Key& k) { return k.name == key; });
    if (known == keys.end()) {
      std::vector<std::string> names;
      for (const Key& key : keys) names.push_back(key.name);
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: unknown key '{}', expected one of {}",
                                                           place.file, path, fmt::join(names, ", ")));
    }
    known->set(value, Place{place.file, place.folder, path}, config);
  }
}

// Refuses keys that are given twice, of which the parser would keep one.
Json Parse(std::string_view text, const std::string& place) {
  constexpr int kMostDepth = 16;
  std::vector<std::set<std::string>> seen;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMostDepth)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: nested deeper than {}", place, kMostDepth));
    if (event == Json::parse_event_t::object_start) seen.emplace_back();
    if (event == Json::parse_event_t::object_end) seen.pop_back();
    if (event == Json::parse_event_t::key && !seen.back().insert(parsed.get<std::string>()).second)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: key '{}' is given twice", place, parsed.get<std::string>()));
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    std::string_view what = error.what();  // "[json.exception.parse_error.101] parse error at line 1, ..."
    if (const size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", place, what));
  }
}

}  // namespace

void ApplyModelJson(std::string_view text, const std::string& place, const std::string& folder,
                    ModelConfig& config) {
  const Json json = Parse(text, place);
  if (!json.is_object()) throw Error(ErrorCode::kInvalidArgument, place + ": expected an object");
  ModelConfig changed = config;
  SetObject(json, Place{place, folder, ""}, Keys(), changed);
  if (changed.max_timeout_us > 0 && changed.default_timeout_us > changed.max_timeout_us)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: default_timeout_us is {}, expected at most max_timeout_us, {}", place,
                            changed.default_timeout_us, changed.max_timeout_us));
  config = std::move(changed);
}

std::string ModelJsonHelp() {
  std::string text;
  const auto add = [&](const std::vector<Key>& keys, const std::string& indent, const auto& self) -> void {
    for (const Key& key : keys) {
      text += fmt::format("{:<26}{:<16}{}\n", indent + key.name, key.expected, key.help);
      if (key.name == "pictures") self(PictureKeys(), indent + "  ", self);
      if (key.name == "detect") self(DetectKeys(), indent + "  ", self);
    }
  };
  add(Keys(), "  ", add);
  return text;
}

}  // namespace sluice::serve
