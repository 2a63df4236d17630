#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "sluice/error.h"
#include "sluice/session.h"
#include "tools/files.h"
#include "tools/verbs.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int Complain(std::string_view message) {
  std::string line(message);
  for (char& c : line) c = c == '\n' || c == '\r' ? ' ' : c;
  fmt::print(stderr, "sluice: {}\n", line);
  return kFailed;
}

int Main(int argc, char** argv) {
  using namespace sluice::tools;
  CLI::App app("Runs ONNX models on the CPU.", "sluice");
  app.set_version_flag("--version", fmt::format("sluice {}", sluice::Version()));
  app.require_subcommand(1);
  app.footer(
      "Example: sluice run model.onnx --input x=data.npy --output results\n"
      "`sluice VERB --help` explains a verb.");
  const Verb verbs[] = {AddRun(app),     AddTest(app),    AddInspect(app), AddBench(app), AddDetect(app),
                        AddCompile(app), AddConvert(app), AddCompare(app), AddOps(app),   AddServe(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    Complain(error.what());
    return kWrongUsage;
  }
  for (const Verb& verb : verbs) {
    if (verb.app->parsed()) return verb.run();
  }
  return kWrongUsage;
}

}  // namespace

int main(int argc, char** argv) {
  sluice::tools::RemoveHalfFilesOnSignals();
  int status = kFailed;
  try {
    status = Main(argc, argv);
  } catch (const std::bad_alloc&) {
    return Complain("out of memory");
  } catch (const std::exception& error) {
    return Complain(error.what());
  }
  if (std::fflush(stdout) != 0) return Complain("cannot write to standard output");
  return status;
}
