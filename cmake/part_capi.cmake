# The public library: include/timbre over all that src/ holds. libtimbre.so exports what that declares and nothing of what it is
# made of, nor does the libtimbre.a that is installed; the LADSPA plugin has all of it compiled in, as hosts load plugins from a
# folder of their own.
file(GLOB CAPI_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/capi/*.cc)
target_sources(timbre PRIVATE ${CAPI_SOURCES})
set_property(SOURCE ${CAPI_SOURCES} APPEND PROPERTY INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)

add_library(timbre_c SHARED ${CAPI_SOURCES})
set_target_properties(timbre_c PROPERTIES OUTPUT_NAME timbre VERSION ${PROJECT_VERSION} SOVERSION 0
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/timbre.map)
target_include_directories(timbre_c INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(timbre_c PRIVATE timbre)
target_link_options(timbre_c PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed
  -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/timbre.map)

find_path(LADSPA_INCLUDE ladspa.h REQUIRED)
add_library(timbre_ladspa MODULE apps/ladspa/timbre_ladspa.c apps/capi/live.cc)
set_target_properties(timbre_ladspa PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/ladspa)
target_include_directories(timbre_ladspa PRIVATE ${CMAKE_SOURCE_DIR}/include ${LADSPA_INCLUDE})
target_compile_definitions(timbre_ladspa PRIVATE TIMBRE_API=)
target_link_libraries(timbre_ladspa PRIVATE timbre)
target_link_options(timbre_ladspa PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed)

# Linker flags for all that a target links, in order: what who links libtimbre.a has to name.
function(timbre_flags_of target out)
  set(flags "")
  foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES IMPORTED_LOCATION IMPORTED_LOCATION_RELEASE)
    if(property STREQUAL LINK_LIBRARIES AND NOT target STREQUAL timbre)
      continue()
    endif()
    get_target_property(libraries ${target} ${property})
    if(NOT libraries)
      continue()
    endif()
    foreach(library ${libraries})
      string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" library "${library}")
      if(library STREQUAL target)
        continue()
      elseif(TARGET ${library})
        timbre_flags_of(${library} more)
        list(APPEND flags ${more})
      elseif(library MATCHES "/lib([^/]*)\\.so$")
        list(APPEND flags "-l${CMAKE_MATCH_1}")
      elseif(library MATCHES "^-|^/")
        list(APPEND flags "${library}")
      elseif(library MATCHES "^[A-Za-z0-9_+-]+$")
        list(APPEND flags "-l${library}")
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES flags)
  set(${out} "${flags}" PARENT_SCOPE)
endfunction()

# Once every part has added what it links.
function(timbre_write_packages)
  timbre_flags_of(timbre flags)
  list(APPEND flags -lstdc++ -lm -lpthread)
  list(REMOVE_DUPLICATES flags)
  string(REPLACE ";" " " TIMBRE_PRIVATE_FLAGS "${flags}")
  set(TIMBRE_PRIVATE_LIBRARIES "${flags}")
  configure_file(${CMAKE_SOURCE_DIR}/cmake/timbre.pc.in ${CMAKE_BINARY_DIR}/packages/timbre.pc @ONLY)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/timbreConfig.cmake.in ${CMAKE_BINARY_DIR}/packages/timbreConfig.cmake @ONLY)
endfunction()
cmake_language(DEFER CALL timbre_write_packages)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/packages/timbreConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS timbre_c COMPONENT library LIBRARY DESTINATION lib)
find_program(TIMBRE_LINKER NAMES ld.bfd ld REQUIRED)
install(CODE "
  set(archive \$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/libtimbre.a)
  execute_process(COMMAND ${CMAKE_COMMAND} -DARCHIVE=$<TARGET_FILE:timbre> -DOUT=\${archive} -DLINKER=${TIMBRE_LINKER}
    -DOBJCOPY=${CMAKE_OBJCOPY} -DNM=${CMAKE_NM} -DAR=${CMAKE_AR} -P ${CMAKE_SOURCE_DIR}/cmake/install_archive.cmake COMMAND_ERROR_IS_FATAL ANY)
  list(APPEND CMAKE_INSTALL_MANIFEST_FILES \${CMAKE_INSTALL_PREFIX}/lib/libtimbre.a)" COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/packages/timbre.pc DESTINATION lib/pkgconfig COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/packages/timbreConfig.cmake ${CMAKE_BINARY_DIR}/packages/timbreConfigVersion.cmake
  DESTINATION lib/cmake/timbre COMPONENT library)
install(TARGETS timbre_ladspa LIBRARY DESTINATION lib/ladspa)

if(TIMBRE_TESTS)
  add_executable(timbre_c_example tests/capi/example.c)
  target_link_libraries(timbre_c_example PRIVATE timbre_c)
  cmake_language(DEFER CALL add_dependencies timbre_tests timbre_c_example timbre_ladspa)
endif()
