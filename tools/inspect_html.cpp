#include "tools/inspect_html.h"

#include <fmt/format.h>

#include <filesystem>

#include "graph/edit/edits.h"
#include "graph/import.h"
#include "graph/infer.h"
#include "graph/passes/pass.h"
#include "kernels/evaluate.h"
#include "sluice/error.h"
#include "sluice/session.h"
#include "tools/files.h"
#include "tools/graph_json.h"
#include "tools/terminal.h"

namespace sluice::tools {

// Of tools/inspect_page, made by embed_page; empty where it could not be bundled.
std::string_view InspectPage();

namespace {

using Json = nlohmann::ordered_json;

struct Shown {
  std::unique_ptr<Graph> graph;
  std::vector<StepGroup> groups;
  OtherSteps others;
  bool measured = false;
};

PassContext ContextOfPasses() {
  PassContext ctx;
  ctx.evaluate = EvaluateOrNone;
  return ctx;
}

std::vector<StepTime> Measure(const ModelOptions& model, int runs) {
  const Session session = Session::Load(model.model, ToSessionOptions(model));
  const NamedValues inputs = NoiseInputs(session, 1);
  Progress progress("measuring");
  session.Run(inputs);  // makes the plan and touches its memory
  std::vector<std::vector<StepProfile>> steps(static_cast<size_t>(runs));
  for (int run = 0; run < runs; ++run) {
    progress.Show(static_cast<double>(run) / runs, model.model);
    RunOptions options;
    options.profile = &steps[static_cast<size_t>(run)];
    session.Run(inputs, {}, options);
  }
  return StepTimesOf(steps);
}

Shown Show(const ModelOptions& model, const std::string& profile, int runs) {
  const SessionOptions options = ToSessionOptions(model);
  Shown shown;
  shown.graph = ReadExportedGraph(model.model);
  SetInputShapes(*shown.graph, options.input_shapes);
  InferShapes(*shown.graph);
  const std::unique_ptr<Graph> optimized = shown.graph->Clone();
  if (options.passes) {
    PassContext ctx = ContextOfPasses();
    RunPasses(*optimized, options.disabled_passes, ctx);
  }
  shown.groups = GroupBySteps(*shown.graph, *optimized);
  std::vector<StepTime> times;
  if (!profile.empty()) times = ReadStepTimes(profile);
  if (runs > 0) times = Measure(model, runs);
  shown.measured = !times.empty();
  shown.others = AddTimes(times, shown.groups);
  if (shown.others.count == static_cast<int64_t>(times.size()) && shown.measured) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}': none of its {} steps is one of '{}'", profile, times.size(), model.model));
  }
  return shown;
}

Json FactsOf(const Shown& shown) {
  Json facts = Json::array();
  const Graph& graph = *shown.graph;
  if (!graph.name.empty()) facts.push_back({"graph", graph.name});
  if (!graph.producer_name.empty())
    facts.push_back({"producer", graph.producer_name + " " + graph.producer_version});
  for (const auto& [domain, version] : graph.opsets) {
    facts.push_back({domain.empty() ? "ai.onnx" : domain, "opset " + std::to_string(version)});
  }
  int64_t steps = 0, bytes = 0, elems = 0;
  double ms = shown.others.ms;
  for (const StepGroup& group : shown.groups) {
    steps += !group.steps.empty();
    ms += std::max(group.ms, 0.0);
  }
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (constant.empty()) continue;
    elems += constant.num_elements();
    bytes += constant.byte_size();
  }
  facts.push_back({"nodes", fmt::format("{} in {} steps", graph.num_nodes(), steps)});
  facts.push_back({"parameters", fmt::format("{} ({})", FormatCount(static_cast<double>(elems)),
                                             FormatBytes(static_cast<double>(bytes)))});
  if (shown.measured) {
    facts.push_back({"time", fmt::format("{}, all steps together", FormatMs(ms))});
    if (shown.others.count > 0) {
      facts.push_back({"of it", fmt::format("{} in {} changes of layout", FormatMs(shown.others.ms),
                                            shown.others.count)});
    }
  }
  return facts;
}

void Describe(const Shown& shown, const std::string& path, GraphJson& json) {
  json.json["name"] = std::filesystem::path(path).filename().string();
  json.json["file"] = path;
  json.json["facts"] = FactsOf(shown);
}

// As the content of a script element: nothing in it ends the element or begins another.
std::string ForScript(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (char c : text) {
    if (c == '<' || c == '>' || c == '&') {
      safe += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string WriteInspectPage(const ModelOptions& model, const HtmlOptions& options) {
  const std::string_view page = InspectPage();
  if (page.empty()) {
    throw Error(ErrorCode::kUnsupported,
                "--html: this command was built without its page, which needs Node.js, npm and the network "
                "when CMake "
                "runs; install nodejs and npm and build again (tools/setup.sh release sluice_cli)");
  }
  const Shown first = Show(model, options.profiles.empty() ? "" : options.profiles[0], options.runs);
  GraphJson left(*first.graph, first.groups);
  Describe(first, model.model, left);
  Json data = {{"models", Json::array()}};
  std::string line = fmt::format("{}: {} nodes", options.output, first.graph->num_nodes());
  if (options.against.empty()) {
    data["models"].push_back(std::move(left.json));
  } else {
    ModelOptions other = model;
    other.model = options.against;
    const Shown second = Show(other, options.profiles.size() > 1 ? options.profiles[1] : "", options.runs);
    GraphJson right(*second.graph, second.groups);
    Describe(second, other.model, right);
    data["summary"] = MarkDifferences(*first.graph, left, *second.graph, right);
    line += fmt::format(" and {}; {}", second.graph->num_nodes(), data["summary"].get<std::string>());
    data["models"].push_back(std::move(left.json));
    data["models"].push_back(std::move(right.json));
  }
  constexpr std::string_view kPlace = "<!-- data -->";
  const size_t place = page.find(kPlace);
  if (place == std::string_view::npos) throw Error(ErrorCode::kInternal, "the page has no place for data");
  WriteFile(options.output,
            fmt::format("{}<script type=\"application/json\" id=\"data\">{}</script>{}",
                        page.substr(0, place), ForScript(data), page.substr(place + kPlace.size())));
  return line;
}

}  // namespace sluice::tools
