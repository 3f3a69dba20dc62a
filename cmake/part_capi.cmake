# The C interface (include/timbre.h) as a shared library, and the LADSPA plugin over it. The library exports its
# functions and nothing of what they are made of; the plugin, the one that hosts look for.
add_library(timbre_c SHARED apps/capi/timbre.cc)
set_target_properties(timbre_c PROPERTIES OUTPUT_NAME timbre VERSION ${PROJECT_VERSION} SOVERSION 0
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
target_include_directories(timbre_c PUBLIC ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(timbre_c PRIVATE TIMBRE_VERSION="${PROJECT_VERSION}")
target_link_libraries(timbre_c PRIVATE timbre)
target_link_options(timbre_c PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed)

find_path(LADSPA_INCLUDE ladspa.h REQUIRED)
# The library is compiled in: hosts load plugins from a folder of their own.
add_library(timbre_ladspa MODULE apps/ladspa/timbre_ladspa.c apps/capi/timbre.cc)
set_target_properties(timbre_ladspa PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/ladspa)
target_include_directories(timbre_ladspa PRIVATE ${CMAKE_SOURCE_DIR}/include ${LADSPA_INCLUDE})
target_compile_definitions(timbre_ladspa PRIVATE TIMBRE_VERSION="${PROJECT_VERSION}" TIMBRE_API=)
target_link_libraries(timbre_ladspa PRIVATE timbre)
target_link_options(timbre_ladspa PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed)

install(TARGETS timbre_c LIBRARY)
install(FILES include/timbre.h TYPE INCLUDE)
install(TARGETS timbre_ladspa LIBRARY DESTINATION lib/ladspa)

if(TIMBRE_TESTS)
  add_executable(timbre_c_example tests/capi/example.c)
  target_link_libraries(timbre_c_example PRIVATE timbre_c)
  cmake_language(DEFER CALL add_dependencies timbre_tests timbre_c_example timbre_ladspa)
endif()
