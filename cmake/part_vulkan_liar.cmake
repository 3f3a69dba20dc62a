# A Vulkan layer that lies, for the tests of what a bad driver does to the program; tests/vulkan/liar_layer.cc.
if(TIMBRE_TESTS)
  set(LIAR_FOLDER ${CMAKE_BINARY_DIR}/lib/layers)
  add_library(timbre_liar MODULE tests/vulkan/liar_layer.cc)
  set_target_properties(timbre_liar PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${LIAR_FOLDER} CXX_VISIBILITY_PRESET hidden)
  target_include_directories(timbre_liar SYSTEM PRIVATE ${VULKAN_INCLUDE})
  file(GENERATE OUTPUT ${LIAR_FOLDER}/timbre_liar.json CONTENT "{\"file_format_version\": \"1.1.2\", \"layer\": {
  \"name\": \"VK_LAYER_TIMBRE_liar\", \"type\": \"GLOBAL\", \"library_path\": \"$<TARGET_FILE:timbre_liar>\",
  \"api_version\": \"1.2.0\", \"implementation_version\": \"1\", \"description\": \"A driver that lies, for tests\"}}
")
  cmake_language(DEFER CALL add_dependencies timbre_tests timbre_liar)
endif()
