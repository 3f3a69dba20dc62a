# Inflates the compressed members of checkpoint archives.
find_package(ZLIB REQUIRED)
target_link_libraries(timbre PUBLIC ZLIB::ZLIB)
