// timbre explain: the plan that a network runs by.
#include "apps/cli/command.h"
#include "models/released_networks.h"
#include "pipelines/runtime_options.h"

namespace timbre::cli {
namespace {

class ExplainCommand final : public Command {
 public:
  ExplainCommand() {
    for (const NetworkRow& row : Networks()) names_.emplace_back(row.name);
  }

  FieldList Fields() override {
    FieldList fields = {{.name = "model",
                         .value = &model_,
                         .help = "a network",
                         .positional = true,
                         .required = true,
                         .choices = names_},
                        {.name = "batch", .value = &batch_, .help = "tiles computed together", .min = 1, .max = 64}};
    return Append(fields, runtime_.Fields());
  }

  std::string Examples() const override {
    return "Shows nodes, kernels, the ladder, memory and the passes applied; --disable shows what each optimisation "
           "does.\n";
  }

  Status Run(Terminal& terminal, Report& report) override {
    TIMBRE_CHECK(runtime_.Check());
    TIMBRE_TRY(const NetworkRow* network, FindNetwork(model_));
    const std::unique_ptr<Weights> weights = RandomWeights(1);
    TIMBRE_TRY(Graph graph, network->build(*weights, batch_));
    ThreadPool pool(runtime_.threads());
    Stats stats;
    TIMBRE_TRY(const std::unique_ptr<Session> session, MakeSession(std::move(graph), runtime_.Session(), pool, &stats));
    const std::string plan = session->Explain();
    report["model"] = model_;
    report["device"] = {{"name", session->device_name()}, {"reason", session->device_reason()}};
    report["arena_mb"] = static_cast<double>(session->arena_bytes()) / 1e6;
    report["weights_mb"] = static_cast<double>(session->weight_bytes()) / 1e6;
    report["plan"] = plan;
    terminal.Print(plan);
    ReportSteps(stats, terminal, report);
    return {};
  }

 private:
  std::vector<std::string> names_;
  std::string model_;
  int batch_ = 1;
  RuntimeOptions runtime_;
};

}  // namespace

std::unique_ptr<Command> MakeExplainCommand() { return std::make_unique<ExplainCommand>(); }

}  // namespace timbre::cli
