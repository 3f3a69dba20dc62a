// Falling notes as a video, with the song's sound.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "base/fields.h"
#include "base/observer.h"
#include "base/result.h"
#include "pipelines/studio/notes_scene.h"

namespace timbre {

class OutputSet;

struct NotesOptions {
  std::string output = "notes.mp4";  // .mp4, .webm, or a folder's name for pictures: "frames/"
  std::string audio;                 // a file; empty: a silent video
  AudioPart part;                    // of the audio, that is heard
  std::string lanes;                 // a table of docs/notes.yaml's form; empty: that one
  std::string size = "1080p";        // 720p, 1080p, 1440p, 4k, or WIDTHxHEIGHT
  bool portrait = false;
  int fps = 60;
  double speed = 1;
  int count_in = 0;  // bars
  bool labels = true;
  int quality = 23;
  std::string effort = "ultrafast";
  int threads = 0;  // of the encoder; 0: twice as many as the process may use
};

// `options` must outlive the fields.
FieldList NotesFields(NotesOptions& options);

// Errors: a size that there is not, which is known before anything is drawn.
Status CheckNotesSize(const NotesOptions& options);

struct NotesReport {
  std::string input, output;
  int width = 0, height = 0, fps = 0;
  int64_t frames = 0;
  double seconds = 0;  // of the video
  int64_t notes = 0;
  std::vector<std::string> lanes;  // that were drawn
  double total = 0;                // seconds that it took
  double real_time_factor = 0;
  std::vector<std::string> warnings;
};

// A frame at the second s shows the time s (less the count-in), so that a note touches the line in the frame nearest to
// its time. As long as the sound, and at least two seconds longer than the last note. Pictures are drawn while others
// are encoded.
Result<NotesReport> MakeNotesVideo(const std::string& midi, const NotesOptions& options, Observer& observer);
// The same of notes that are in memory; `name` is for the report and for messages. With `outputs` a video is named
// together with those.
Result<NotesReport> MakeNotesVideo(const MidiSong& song, const std::string& name, const NotesOptions& options,
                                   Observer& observer, OutputSet* outputs = nullptr);

}  // namespace timbre
