# Audio, pictures and videos in whatever form they are stored. Of FFmpeg only the headers are used here: its libraries are opened
# at run time (src/audio/ffmpeg.h), so that a command that needs none of them starts without.
pkg_check_modules(AV REQUIRED IMPORTED_TARGET libavformat libavcodec libavutil libswscale)
target_include_directories(timbre SYSTEM PUBLIC ${AV_INCLUDE_DIRS})

# Tests ask FFmpeg itself what it was told.
if(TIMBRE_TESTS)
  cmake_language(DEFER CALL target_link_libraries timbre_tests PRIVATE PkgConfig::AV)
endif()
