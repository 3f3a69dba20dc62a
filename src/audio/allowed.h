// Which of FFmpeg's containers and codecs are opened. FFmpeg recognises a file by its content, and among what it
// recognises are scripts that name other files, session descriptions that open sockets, and hundreds of formats of
// single games: none of them is audio that someone wants separated, and each is code that reads untrusted bytes.
#pragma once

#include <cstdint>
#include <string>

extern "C" {
#include <libavcodec/codec_id.h>
}

namespace timbre {

// By the name of its demuxer.
bool IsAllowedContainer(const std::string& demuxer);
bool IsAllowedCodec(AVCodecID codec);

// The same as FFmpeg's lists of names, separated by commas; that of the decoders once FFmpeg is loaded (ffmpeg.h).
const std::string& AllowedContainers();
const std::string& AllowedDecoders();

}  // namespace timbre
