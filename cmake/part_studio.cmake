# docs/presets.yaml is both the documentation of mastering chains and the presets, compiled in.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/presets.yaml)
file(READ ${CMAKE_SOURCE_DIR}/docs/presets.yaml TIMBRE_PRESETS_YAML)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/presets_yaml.inc CONTENT "R\"presets(@TIMBRE_PRESETS_YAML@)presets\"\n" @ONLY)
