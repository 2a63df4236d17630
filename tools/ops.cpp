// sluice ops: the operators that this build computes.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "graph/operator.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

int Run(bool markdown) {
  std::vector<std::vector<std::string>> rows = {{"operator", "versions", "types"}};
  if (markdown) fmt::print("| operator | versions | types |\n|---|---|---|\n");
  // Several definitions may share a name, each with a range of versions.
  const std::vector<const Operator*> all = AllOperators();
  for (size_t i = 0; i < all.size();) {
    const std::string name =
        all[i]->domain.empty() ? std::string(all[i]->name) : fmt::format("{}.{}", all[i]->domain, all[i]->name);
    std::vector<int> versions;
    std::vector<std::string> types;
    const size_t first = i;
    for (; i < all.size() && all[i]->name == all[first]->name && all[i]->domain == all[first]->domain; ++i) {
      versions.insert(versions.end(), all[i]->versions.begin(), all[i]->versions.end());
      const std::string text(all[i]->types == "T" ? "all numeric" : all[i]->types);
      if (!text.empty() && std::find(types.begin(), types.end(), text) == types.end()) types.push_back(text);
    }
    std::sort(versions.begin(), versions.end());
    versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
    const std::string version_list = fmt::format("{}", fmt::join(versions, " "));
    const std::string type_list = fmt::format("{}", fmt::join(types, "; "));
    if (markdown) fmt::print("| {} | {} | {} |\n", name, version_list, type_list);
    // A leading blank keeps lists of versions aligned to the left.
    else rows.push_back({name, " " + version_list, type_list});
  }
  if (!markdown) fmt::print("{}", FormatTable(rows));
  return 0;
}

}  // namespace

Verb AddOps(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("ops", "Lists the operators, their versions and types");
  auto markdown = std::make_shared<bool>(false);
  verb->add_flag("--markdown", *markdown, "As a table in Markdown");
  verb->footer("Example: sluice ops | grep Conv");
  return {verb, [markdown] { return Run(*markdown); }};
}

}  // namespace sluice::tools
