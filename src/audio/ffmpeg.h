// FFmpeg's functions, from its libraries, which are opened when the first file needs them: with the libraries that
// those need in turn they are half of all that the program could load, and most of its commands open no audio at all.
#pragma once

#include "base/result.h"
#include "base/shared_library.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/base64.h>
#include <libavutil/channel_layout.h>
#include <libavutil/dict.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/samplefmt.h>
#include <libswscale/swscale.h>
}

namespace timbre {

#define TIMBRE_AVFORMAT(X)          \
  X(av_find_best_stream)            \
  X(av_interleaved_write_frame)     \
  X(av_probe_input_buffer2)         \
  X(av_read_frame)                  \
  X(av_write_frame)                 \
  X(av_write_trailer)               \
  X(avformat_alloc_context)         \
  X(avformat_alloc_output_context2) \
  X(avformat_close_input)           \
  X(avformat_find_stream_info)      \
  X(avformat_free_context)          \
  X(avformat_new_stream)            \
  X(avformat_open_input)            \
  X(avformat_write_header)          \
  X(avio_alloc_context)             \
  X(avio_closep)                    \
  X(avio_context_free)              \
  X(avio_flush)                     \
  X(avio_open)

#define TIMBRE_AVCODEC(X)            \
  X(av_codec_is_decoder)             \
  X(av_codec_iterate)                \
  X(av_get_bits_per_sample)          \
  X(av_new_packet)                   \
  X(av_packet_alloc)                 \
  X(av_packet_free)                  \
  X(av_packet_rescale_ts)            \
  X(av_packet_unref)                 \
  X(avcodec_alloc_context3)          \
  X(avcodec_find_decoder)            \
  X(avcodec_find_encoder_by_name)    \
  X(avcodec_free_context)            \
  X(avcodec_get_name)                \
  X(avcodec_open2)                   \
  X(avcodec_parameters_from_context) \
  X(avcodec_parameters_to_context)   \
  X(avcodec_receive_frame)           \
  X(avcodec_receive_packet)          \
  X(avcodec_send_frame)              \
  X(avcodec_send_packet)             \
  TIMBRE_AVCODEC_SINCE_61_13(X)
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
#define TIMBRE_AVCODEC_SINCE_61_13(X) X(avcodec_get_supported_config)
#else
#define TIMBRE_AVCODEC_SINCE_61_13(X)
#endif

#define TIMBRE_AVUTIL(X)                  \
  X(av_base64_encode)                     \
  X(av_channel_layout_channel_from_index) \
  X(av_channel_layout_compare)            \
  X(av_channel_layout_copy)               \
  X(av_channel_layout_default)            \
  X(av_channel_layout_uninit)             \
  X(av_dict_free)                         \
  X(av_dict_get)                          \
  X(av_dict_set)                          \
  X(av_dict_set_int)                      \
  X(av_frame_alloc)                       \
  X(av_frame_free)                        \
  X(av_frame_get_buffer)                  \
  X(av_frame_get_side_data)               \
  X(av_frame_make_writable)               \
  X(av_frame_ref)                         \
  X(av_frame_unref)                       \
  X(av_free)                              \
  X(av_freep)                             \
  X(av_get_packed_sample_fmt)             \
  X(av_log_format_line2)                  \
  X(av_log_set_callback)                  \
  X(av_malloc)                            \
  X(av_max_alloc)                         \
  X(av_rescale)                           \
  X(av_rescale_q)                         \
  X(av_sample_fmt_is_planar)              \
  X(av_strdup)                            \
  X(av_strerror)

#define TIMBRE_SWSCALE(X) \
  X(sws_freeContext)      \
  X(sws_getCoefficients)  \
  X(sws_getContext)       \
  X(sws_scale)            \
  X(sws_setColorspaceDetails)

TIMBRE_AVFORMAT(TIMBRE_DECLARE_FUNCTION)
TIMBRE_AVCODEC(TIMBRE_DECLARE_FUNCTION)
TIMBRE_AVUTIL(TIMBRE_DECLARE_FUNCTION)
TIMBRE_SWSCALE(TIMBRE_DECLARE_FUNCTION)

// Opens the libraries, of the versions that the headers are of, once in a process; whoever opens a file calls it before
// anything above. From any thread. Errors: kUnsupported where one is missing, with the package to install.
Status LoadFfmpeg();

}  // namespace timbre
