# Loudness and true peaks by EBU R 128.
pkg_check_modules(EBUR128 REQUIRED IMPORTED_TARGET libebur128)
target_link_libraries(timbre PRIVATE PkgConfig::EBUR128)
