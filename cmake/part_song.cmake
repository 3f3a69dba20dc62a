# Classes of letters for lyrics, and pieces of text for the style's text tower.
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
target_link_libraries(timbre PRIVATE PkgConfig::UTF8PROC PkgConfig::SENTENCEPIECE)
