# The page that `timbre serve` shows: each file of apps/web/dist, compiled in.
file(GLOB_RECURSE WEB_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/web/dist/*)
set(WEB_EMBEDDED ${CMAKE_BINARY_DIR}/generated/web_files.cc)
add_custom_command(OUTPUT ${WEB_EMBEDDED} VERBATIM
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${CMAKE_SOURCE_DIR}/apps/web/dist -DOUTPUT=${WEB_EMBEDDED}
    -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
  DEPENDS ${WEB_FILES} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake ${CMAKE_SOURCE_DIR}/apps/server/web_files.h)
cmake_language(DEFER CALL target_sources timbre_cli PRIVATE ${WEB_EMBEDDED})
