#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace sluice::tools {

// A verb of the command: its options, and what runs once they are parsed. The result is the exit
// status; errors are thrown.
struct Verb {
  CLI::App* app;
  std::function<int()> run;
};

Verb AddRun(CLI::App& app);      // run.cpp
Verb AddTest(CLI::App& app);     // test.cpp
Verb AddInspect(CLI::App& app);  // inspect.cpp
Verb AddBench(CLI::App& app);    // bench.cpp
Verb AddCompile(CLI::App& app);  // compile.cpp
Verb AddConvert(CLI::App& app);
Verb AddCompare(CLI::App& app);  // compare_verb.cpp
Verb AddDetect(CLI::App& app);   // detect.cpp
Verb AddOps(CLI::App& app);      // ops.cpp
Verb AddServe(CLI::App& app);    // serve_verb.cpp

}  // namespace sluice::tools
