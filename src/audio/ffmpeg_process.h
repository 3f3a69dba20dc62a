// FFmpeg's settings for the whole process. They belong to the program, so nothing else in the library touches them: a
// host that links the library keeps its own.
#pragma once

namespace timbre {

// For programs that own their process, before they open audio: FFmpeg's words go to the log sink (warnings and worse,
// as details) instead of the error stream, and no allocation of FFmpeg's exceeds 256 MiB, whatever a header declares.
// Opens none of its libraries: what isn't loaded yet is set up as soon as it is.
void SetUpFfmpegForProgram();

// For LoadFfmpeg (ffmpeg.h), when there is something to set up.
void FfmpegIsLoaded();

}  // namespace timbre
