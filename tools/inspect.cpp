// sluice inspect: what a model consists of and what would run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/compiled/cache.h"
#include "runtime/compiled/open_file.h"
#include "sluice/session.h"
#include "tools/inspect_dead.h"
#include "tools/inspect_html.h"
#include "tools/model_args.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

struct Options {
  ModelOptions model;
  bool fusions = false;
  bool kernels = false;
  HtmlOptions html;
  DeadOptions dead;
};

struct Counts {
  std::map<std::string, int64_t> operators;
  int64_t parameters = 0;  // elements of constants, nested graphs included
  int64_t parameter_bytes = 0;
};

void Count(const Graph& graph, Counts& counts) {
  for (size_t i = 0; i < graph.num_values(); ++i) {
    const Tensor& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (constant.empty()) continue;
    counts.parameters += constant.num_elements();
    counts.parameter_bytes += constant.byte_size();
  }
  for (NodeId id : graph.TopologicalOrder()) {
    const Node& node = graph.node(id);
    ++counts.operators[node.domain.empty() ? node.op_type : node.domain + "." + node.op_type];
    for (const auto& [name, attribute] : node.attrs.all()) {
      if (const auto* nested = std::get_if<std::shared_ptr<Graph>>(&attribute)) Count(**nested, counts);
    }
  }
}

void PrintValues(const char* title, const std::vector<ValueInfo>& values) {
  fmt::print("{}\n", title);
  for (const ValueInfo& info : values) fmt::print("  {}: {}\n", info.name, DescribeInfo(info));
}

void PrintGraph(const Graph& graph, const Counts& counts) {
  std::string opsets;
  for (const auto& [domain, version] : graph.opsets) {
    opsets +=
        fmt::format("{}{} {}", opsets.empty() ? "" : ", ", domain.empty() ? "ai.onnx" : domain, version);
  }
  fmt::print("graph       {}\n", graph.name.empty() ? "(no name)" : graph.name);
  fmt::print("producer    {} {}\n", graph.producer_name.empty() ? "(not stated)" : graph.producer_name,
             graph.producer_version);
  fmt::print("opset       {}\n", opsets);
  fmt::print("IR version  {}\n", graph.ir_version);
  fmt::print("parameters  {} ({})\n", counts.parameters,
             FormatBytes(static_cast<double>(counts.parameter_bytes)));
}

void PrintCompiled(const std::string& path) {
  const auto model = OpenCompiledFile(path, /*copy=*/false, /*verify=*/false, FindOperator);
  fmt::print("compiled\n");
  for (const SourceFile& source : model->tables().sources) fmt::print("  of {}\n", source.path);
  for (const auto& [name, value] : model->tables().facts) {
    if (name != kCacheKey) fmt::print("  {}: {}\n", name, value);
  }
}

void PrintOperators(const Counts& counts) {
  std::vector<std::pair<std::string, int64_t>> sorted(counts.operators.begin(), counts.operators.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  int64_t total = 0;
  for (const auto& [name, count] : sorted) total += count;
  fmt::print("operators   {}\n", total);
  for (const auto& [name, count] : sorted) fmt::print("  {:>5}  {}\n", count, name);
}

void PrintPlan(const Session& session) {
  std::map<std::string, Shape> shapes;
  std::string assumed;
  for (const ValueInfo& info : session.inputs()) {
    if (info.is_sequence || info.is_map || !info.has_shape) {
      fmt::print("plan        none: input '{}' is {}\n", info.name, DescribeInfo(info));
      return;
    }
    bool opened = false;
    shapes[info.name] = ConcreteShape(info, &opened);
    if (opened)
      assumed += fmt::format("{}{} {}", assumed.empty() ? "" : ", ", info.name, ToString(shapes[info.name]));
  }
  if (!assumed.empty()) fmt::print("plan        with 1 for open sizes ({}); --shape sets them\n", assumed);
  PlanInfo plan;
  try {
    plan = session.Prepare(shapes);
  } catch (const Error& error) {
    if (assumed.empty()) throw;
    fmt::print("plan        none at these sizes: {}\n", error.what());
    return;
  }
  fmt::print("steps       {}, {} of them reorders\n", plan.steps, plan.reorders);
  fmt::print("GFLOP       {:.4g}\n", static_cast<double>(plan.flops) / 1e9);
  fmt::print(
      "memory      {} planned for intermediate values (at least {} live at a time), {} packed weights\n",
      FormatBytes(static_cast<double>(plan.arena_bytes)),
      FormatBytes(static_cast<double>(plan.live_peak_bytes)),
      FormatBytes(static_cast<double>(plan.packed_bytes)));
}

void PrintFusions(const Session& session) {
  fmt::print("fusions\n");
  if (session.pass_notes().empty()) fmt::print("  none: no pass found anything to rewrite\n");
  std::string pass;
  for (const PassNote& note : session.pass_notes()) {
    if (note.pass != pass) fmt::print("  {}\n", note.pass);
    pass = note.pass;
    fmt::print("    {} {}: {}\n", note.applied ? "+" : "-", note.place, note.text);
  }
}

// Of the plan that PrintPlan made.
void PrintKernels(const Session& session) {
  if (session.profile().empty()) {
    fmt::print("kernels     none: there is no plan without sizes; --shape sets them\n");
    return;
  }
  std::vector<std::vector<std::string>> rows = {{"step", "operator", "kernel", "tiles", "inputs", "output"}};
  for (const StepProfile& step : session.profile()) {
    rows.push_back({step.node, step.op, step.kernel, std::to_string(step.tiles),
                    fmt::format("{}", fmt::join(step.input_shapes, ", ")), step.output_shape});
  }
  fmt::print("kernels\n{}", FormatTable(rows));
  for (const StepProfile& step : session.profile()) {
    for (const std::string& reason : step.declined) fmt::print("  {}: not by {}\n", step.node, reason);
  }
}

int Run(const Options& options) {
  if (!options.html.output.empty()) {
    fmt::print("{}\n", WriteInspectPage(options.model, options.html));
    return 0;
  }
  if (!options.dead.pictures.empty()) {
    ReportDead(options.model, options.dead);
    return 0;
  }
  SessionOptions session_options = ToSessionOptions(options.model);
  session_options.profile = options.kernels;
  const std::unique_ptr<Graph> graph = ImportModel(options.model.model);
  const Session session = Session::Load(options.model.model, session_options);
  Counts counts;
  Count(*graph, counts);
  PrintGraph(*graph, counts);
  if (IsCompiledFile(options.model.model)) PrintCompiled(options.model.model);
  PrintValues("inputs", session.inputs());
  PrintValues("outputs", session.outputs());
  if (!session.metadata().empty()) fmt::print("metadata\n");
  for (const auto& [key, value] : session.metadata()) fmt::print("  {}: {}\n", key, value);
  PrintOperators(counts);
  PrintPlan(session);
  if (options.fusions) PrintFusions(session);
  if (options.kernels) PrintKernels(session);
  return 0;
}

}  // namespace

Verb AddInspect(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("inspect", "Describes a model: inputs, operators, size, work, memory");
  auto options = std::make_shared<Options>();
  AddModelOption(*verb, options->model);
  verb->add_flag("--fusions", options->fusions, "What every pass rewrote (+) or almost did (-), and why not");
  verb->add_flag("--kernels", options->kernels,
                 "The kernel of every step, for the sizes declared or set by --shape");
  CLI::Option* const html =
      verb->add_option("--html", options->html.output,
                       "Writes a page that shows the graph, what is fused, weights, and times");
  CLI::Option* const runs = verb->add_option("--runs", options->html.runs,
                                             "With --html: runs of which times are taken, on made-up inputs")
                                ->check(CLI::Range(1, 1'000'000));
  runs->needs(html);
  verb->add_option("--profile", options->html.profiles,
                   "With --html: times from a file of sluice bench --profile or --json; a second one is the "
                   "other model's")
      ->expected(1, 2)
      ->needs(html)
      ->excludes(runs);
  verb->add_option("--against", options->html.against,
                   "With --html: another model beside it, with differences marked")
      ->needs(html);
  CLI::Option* const dead = verb->add_option("--dead", options->dead.pictures,
                                             "For these pictures (files, folders, patterns in quotes): how "
                                             "much of what goes into each Relu, LeakyRelu and PRelu "
                                             "is negative, and which channels never fire");
  dead->excludes(html);
  verb->add_option("--json", options->dead.json, "With --dead: file for the same as JSON")->needs(dead);
  AddPictureOptions(*verb, options->dead.picture);
  AddThreadsOption(*verb, options->model);
  AddShapeOption(*verb, options->model);
  AddPassOptions(*verb, options->model);
  AddKernelOptions(*verb, options->model);
  verb->footer(
      "Examples: sluice inspect model.onnx --fusions --shape x=1x3x416x416\n"
      "          sluice inspect model.onnx --html graph.html --runs 10\n"
      "          sluice inspect model.onnx --html both.html --against optimized.onnx\n"
      "          sluice inspect model.onnx --dead pictures/ --json dead.json");
  return {verb, [options] { return Run(*options); }};
}

}  // namespace sluice::tools
