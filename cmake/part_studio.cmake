# docs/presets.yaml, docs/notes.yaml and docs/job-presets.yaml are both the documentation of mastering chains, of the
# lanes of falling notes and of presets for jobs, and what is compiled in.
foreach(name presets notes job-presets)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/${name}.yaml)
  file(READ ${CMAKE_SOURCE_DIR}/docs/${name}.yaml TIMBRE_STUDIO_YAML)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}_yaml.inc CONTENT "R\"yaml(@TIMBRE_STUDIO_YAML@)yaml\"\n" @ONLY)
endforeach()
