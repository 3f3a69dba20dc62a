// DeepFilterNet3 from the package of ONNX files that its authors publish for its plugins (DeepFilterNet3_onnx.tar.gz).
#pragma once

#include <string>

#include "base/result.h"
#include "formats/onnx.h"
#include "graph/weights.h"
#include "models/speech/deepfilternet.h"

namespace timbre {

struct DeepFilterNetPackage {
  DeepFilterNetConfig config;
  TensorMap weights;  // as BuildDeepFilterNet wants them
};

// Reads config.ini, enc.onnx, erb_dec.onnx and df_dec.onnx of the archive. Errors don't name it.
Result<DeepFilterNetPackage> ReadDeepFilterNetPackage(const std::string& path);

// The checkpoint's tensors out of the three graphs, which are told by the order and the kinds of their nodes: names in
// them mean nothing. Batch norms are folded into convolutions there; here each is one that does nothing but add.
Result<TensorMap> DeepFilterNetFromOnnx(const OnnxGraph& encoder, const OnnxGraph& erb_decoder,
                                        const OnnxGraph& df_decoder);

}  // namespace timbre
