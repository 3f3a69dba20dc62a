# Pixels of pictures and videos, in whatever form they are stored, as red, green and blue.
pkg_check_modules(SWSCALE REQUIRED IMPORTED_TARGET libswscale)
target_link_libraries(timbre PRIVATE PkgConfig::SWSCALE)
