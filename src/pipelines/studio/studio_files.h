// Where the studio's verbs write to: one file for each input, as denoising has it.
#pragma once

#include <memory>
#include <string>

#include "audio/decode.h"
#include "audio/encode.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/separate/separate.h"

namespace timbre {

struct StudioFiles {
  std::string output_dir;
  std::string name = "{track}.{ext}";
  std::string format = "wav";
  std::string sample_format = "s16";
  int bitrate = 0;
  PartOptions part;      // of the inputs, that is read
  std::string temp_dir;  // for what lies on disk meanwhile; empty: beside the outputs
  bool tags = true;      // copy title, artist, cover and the like
  bool skip_existing = false;
  std::string made_by;      // MadeBy(), kept with the outputs and compared; empty: neither
  bool stream_out = false;  // not to a file but into `stream_to` as it is made (AudioWriter::Stream)
  int stream_to = -1;
};

// `files` must outlive the fields.
FieldList StudioFileFields(StudioFiles& files);

// What they are written as. What is beyond full scale is cut by formats without room for it: the verbs hold it below.
Result<WriteOptions> StudioWriteOptions(const StudioFiles& files);

// Where the output of `input` goes. `verb` stands for {model} in the template, which the help does not offer.
Result<std::string> StudioPath(const StudioFiles& files, const TrackInput& input, const std::string& verb);

// Opens an input; fails where its output would be written over it.
Result<std::unique_ptr<AudioReader>> OpenStudioInput(const StudioFiles& files, const std::string& input,
                                                     const std::string& output, Observer& observer);

// The output's writer: a file of `outputs`, or the stream.
Result<std::unique_ptr<AudioWriter>> OpenStudioOutput(const StudioFiles& files, const std::string& output,
                                                      const WriteOptions& write, int sample_rate, int channels,
                                                      OutputSet& outputs, Observer& observer);

}  // namespace timbre
