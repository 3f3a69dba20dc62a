// timbre doctor: which kernels are right on this machine's devices, and how fast each device is.
#include "apps/cli/job_command.h"

namespace timbre::cli {

std::unique_ptr<Command> MakeDoctorCommand() {
  return MakeJobCommand(
      "doctor",
      "Kernels that are wrong on a device are left out there from then on, and every command says so.\n"
      "A device's tiles are held against the CPU's, and those against what plain kernels compute, where the\n"
      "network is small enough for them.\n");
}

}  // namespace timbre::cli
