// sluice ops: the operators that this build computes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <set>

#include "graph/operator.h"
#include "tools/terminal.h"
#include "tools/verbs.h"

namespace sluice::tools {
namespace {

// "float, double", the words of Operator::types. Several definitions may share an operator's name.
std::string TypesOf(const std::vector<const Operator*>& definitions) {
  std::vector<std::string> texts;
  for (const Operator* op : definitions) {
    std::string text(op->types);
    if (text == "T" || text.starts_with("T, ")) text = "numbers" + text.substr(1);
    if (!text.empty() && std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  return fmt::format("{}", fmt::join(texts, "; "));
}

std::string VersionsOf(const std::vector<const Operator*>& definitions) {
  std::set<int> versions;
  for (const Operator* op : definitions) versions.insert(op->versions.begin(), op->versions.end());
  return fmt::format("{}", fmt::join(versions, ", "));
}

// The names that users know; "" and "ai.onnx" are one domain.
std::string DomainName(std::string_view domain) { return domain.empty() ? "ai.onnx" : std::string(domain); }

int Run(bool markdown) {
  std::map<std::string, std::map<std::string, std::vector<const Operator*>>> domains;
  for (const Operator* op : AllOperators())
    domains[DomainName(op->domain)][std::string(op->name)].push_back(op);
  for (const auto& [domain, operators] : domains) {
    if (markdown) {
      fmt::print("{} ({} operators)\n\n| operator | versions | types |\n|---|---|---|\n", domain,
                 operators.size());
      for (const auto& [name, definitions] : operators)
        fmt::print("| {} | {} | {} |\n", name, VersionsOf(definitions), TypesOf(definitions));
      fmt::print("\n");
      continue;
    }
    std::vector<std::vector<std::string>> rows = {{domain, "versions", "types"}};
    // A leading blank keeps lists of versions aligned to the left.
    for (const auto& [name, definitions] : operators)
      rows.push_back({name, " " + VersionsOf(definitions), TypesOf(definitions)});
    fmt::print("{}", FormatTable(rows));
  }
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
