# docs/drums.yaml is both the documentation of the drum analysis's configuration and its default, compiled in.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/drums.yaml)
file(READ ${CMAKE_SOURCE_DIR}/docs/drums.yaml TIMBRE_DRUMS_YAML)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/drums_yaml.inc CONTENT "R\"drums(@TIMBRE_DRUMS_YAML@)drums\"\n" @ONLY)
target_include_directories(timbre PRIVATE ${CMAKE_BINARY_DIR}/generated)

pkg_check_modules(SMF REQUIRED IMPORTED_TARGET smf)      # writes Standard MIDI Files
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)  # draws --plot
target_link_libraries(timbre PRIVATE PkgConfig::SMF PkgConfig::CAIRO)
