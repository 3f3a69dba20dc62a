// Checkpoints: named tensors and what was stored beside them, from untrusted files.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "formats/pickle.h"
#include "graph/weights.h"

namespace timbre {

struct Checkpoint {
  // Every tensor of the file. Names in a PyTorch file are the keys on the way to the tensor, joined by dots:
  // "model_state_dict.encoder.0.weight". The bytes are views of the mapped file where they can be.
  std::shared_ptr<const TensorMap> tensors = std::make_shared<const TensorMap>();
  PickleValue root;                             // what the pickle of a PyTorch file holds; None for safetensors
  std::map<std::string, std::string> metadata;  // of a safetensors file
  std::map<std::string, std::string> files;     // short text files beside the checkpoint in its archive, by base name

  // The tensors below `prefix` ("state.", with its dot), which is taken off their names.
  TensorMap Sub(const std::string& prefix) const;
  // The network's weights under its own names, wherever training programs put them: at the top, or below one or several
  // of "state_dict", "model_state_dict", "model", "state", "module", "_orig_mod", "ema_state_dict", "ema_model" and
  // "ema". Where several stand side by side, the first of this list is taken and what lies beside it is left alone. By
  // value: the map lives as long as a loop over it, which one behind a pointer of nobody's would not.
  TensorMap State() const;
};

// Reads a PyTorch checkpoint (.th, .pt, .pth, .ckpt, .tar, .best; since version 1.6 a zip archive, and the form before
// it), a .safetensors file, or a zip archive that holds one of these and small text files (the package of
// DeepFilterNet). The kind is told by the bytes, not by the name. Errors begin with the path.
Result<Checkpoint> ReadCheckpoint(const std::string& path);
// The same from memory; errors don't know a path.
Result<Checkpoint> ReadCheckpoint(const SharedBytes& bytes);

// What Demucs saves: the class of a network, what to construct it with, and its weights.
struct DemucsPackage {
  std::string klass;   // "demucs.htdemucs.HTDemucs"
  PickleValue args;    // a tuple
  PickleValue kwargs;  // a dict
  std::shared_ptr<const TensorMap> state;
};

bool IsDemucsPackage(const Checkpoint& checkpoint);
Result<DemucsPackage> ToDemucsPackage(const Checkpoint& checkpoint);

}  // namespace timbre
