# Classes of letters for lyrics, and pieces of text for the style's text tower.
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
# Not by pkg-config: Debian 13's file wants protobuf's as well, which libsentencepiece-dev does not bring and nothing here uses.
find_path(SENTENCEPIECE_INCLUDE sentencepiece_processor.h REQUIRED)
find_library(SENTENCEPIECE sentencepiece REQUIRED)
find_library(SENTENCEPIECE_TRAIN sentencepiece_train REQUIRED)
target_include_directories(timbre PRIVATE ${SENTENCEPIECE_INCLUDE})
target_link_libraries(timbre PRIVATE PkgConfig::UTF8PROC ${SENTENCEPIECE} ${SENTENCEPIECE_TRAIN})
