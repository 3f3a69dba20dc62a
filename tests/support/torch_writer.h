// PyTorch files as training programs write them: the zip form, nested dicts, an optimizer's leavings beside the
// weights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "graph/weights.h"

namespace timbre::testing {

// The bytes of a checkpoint whose weights lie below the dicts `path`, one in the other ({"model_state_dict"}: the file
// is a dict that holds them under that key). Each of these dicts has an epoch and an optimizer's state beside. None:
// the file is the bare state dict, an OrderedDict.
std::string TorchFile(const TensorMap& state, const std::vector<std::string>& path = {});

// The bytes of a Demucs package: {klass, args, kwargs, state, training_args}. The values of `kwargs` are pickled as
// they stand, in the opcodes of protocol 2 (PickleText and the others below).
std::string DemucsFile(const std::vector<std::pair<std::string, std::string>>& kwargs, const TensorMap& state);

std::string PickleText(const std::string& text);
std::string PickleInt(int value);
std::string PickleBool(bool value);
std::string PickleTexts(const std::vector<std::string>& texts);
std::string PickleFraction(const std::string& fraction);  // fractions.Fraction("39/5"), as Demucs states segments

}  // namespace timbre::testing
