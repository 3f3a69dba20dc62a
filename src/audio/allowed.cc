#include "audio/allowed.h"

#include <algorithm>
#include <iterator>

#include "audio/ffmpeg.h"

namespace timbre {
namespace {

constexpr const char* kContainers[] = {
    "aac",   "ac3", "aiff",   "amr",   "amrnb",  "amrwb", "ape",           "asf", "au",   "avi",
    "caf",   "dsf", "dts",    "dtshd", "eac3",   "flac",  "flv",           "iff", "loas", "mlp",
    "mp3",   "mpc", "mpc8",   "mpeg",  "mpegts", "mxf",   "matroska,webm", "nut", "ogg",  "oma",
    "spdif", "tak", "truehd", "tta",   "voc",    "w64",   "wav",           "wv",  "xwma", "mov,mp4,m4a,3gp,3g2,mj2"};

// Besides PCM and ADPCM in all their kinds.
constexpr AVCodecID kCodecs[] = {AV_CODEC_ID_MP1,
                                 AV_CODEC_ID_MP2,
                                 AV_CODEC_ID_MP3,
                                 AV_CODEC_ID_AAC,
                                 AV_CODEC_ID_AAC_LATM,
                                 AV_CODEC_ID_AC3,
                                 AV_CODEC_ID_EAC3,
                                 AV_CODEC_ID_DTS,
                                 AV_CODEC_ID_MLP,
                                 AV_CODEC_ID_TRUEHD,
                                 AV_CODEC_ID_VORBIS,
                                 AV_CODEC_ID_OPUS,
                                 AV_CODEC_ID_SPEEX,
                                 AV_CODEC_ID_FLAC,
                                 AV_CODEC_ID_ALAC,
                                 AV_CODEC_ID_APE,
                                 AV_CODEC_ID_WAVPACK,
                                 AV_CODEC_ID_TTA,
                                 AV_CODEC_ID_TAK,
                                 AV_CODEC_ID_MUSEPACK7,
                                 AV_CODEC_ID_MUSEPACK8,
                                 AV_CODEC_ID_WMAV1,
                                 AV_CODEC_ID_WMAV2,
                                 AV_CODEC_ID_WMAPRO,
                                 AV_CODEC_ID_WMALOSSLESS,
                                 AV_CODEC_ID_WMAVOICE,
                                 AV_CODEC_ID_AMR_NB,
                                 AV_CODEC_ID_AMR_WB,
                                 AV_CODEC_ID_GSM,
                                 AV_CODEC_ID_GSM_MS,
                                 AV_CODEC_ID_ATRAC3,
                                 AV_CODEC_ID_ATRAC3P,
                                 AV_CODEC_ID_DSD_LSBF,
                                 AV_CODEC_ID_DSD_MSBF,
                                 AV_CODEC_ID_DSD_LSBF_PLANAR,
                                 AV_CODEC_ID_DSD_MSBF_PLANAR};

}  // namespace

bool IsAllowedContainer(const std::string& demuxer) {
  return std::find(std::begin(kContainers), std::end(kContainers), demuxer) != std::end(kContainers);
}

bool IsAllowedCodec(AVCodecID codec) {
  // FFmpeg's own ranges of numbers: PCM from the first audio codec on, ADPCM up to AMR.
  if (codec >= AV_CODEC_ID_FIRST_AUDIO && codec < AV_CODEC_ID_AMR_NB) return true;
  return std::find(std::begin(kCodecs), std::end(kCodecs), codec) != std::end(kCodecs);
}

const std::string& AllowedContainers() {
  static const std::string list = [] {
    std::string names;
    for (const char* name : kContainers) names += (names.empty() ? "" : ",") + std::string(name);
    return names;
  }();
  return list;
}

const std::string& AllowedDecoders() {
  static const std::string list = [] {
    std::string names;
    void* place = nullptr;
    while (const AVCodec* codec = av_codec_iterate(&place)) {
      if (av_codec_is_decoder(codec) == 0 || codec->type != AVMEDIA_TYPE_AUDIO || !IsAllowedCodec(codec->id)) continue;
      names += (names.empty() ? "" : ",") + std::string(codec->name);
    }
    return names;
  }();
  return list;
}

}  // namespace timbre
