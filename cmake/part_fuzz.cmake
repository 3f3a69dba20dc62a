# One libFuzzer program for each tests/fuzz/NAME_fuzz_test.cc. `./dev fuzz` builds and runs them.
if(TIMBRE_FUZZ)
  # Warnings are errors in the builds with the compiler that everything is written for; this one only has to find crashes.
  target_compile_options(timbre PUBLIC -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer -g1 -Wno-error)
  file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/fuzz/*_fuzz_test.cc)
  set_property(SOURCE ${CMAKE_SOURCE_DIR}/tests/support/places.cc APPEND PROPERTY COMPILE_DEFINITIONS
    TIMBRE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TIMBRE_PROGRAM="${CMAKE_BINARY_DIR}/bin/timbre" TIMBRE_LIAR="" TIMBRE_C_EXAMPLE=""
    TIMBRE_LADSPA="")
  # What targets share with the tests, of which some writes its findings by GoogleTest; compiled once.
  find_package(GTest REQUIRED)
  file(GLOB fuzz_support CONFIGURE_DEPENDS tests/fuzz/fuzz.cc tests/support/*.cc tests/e2e/program.cc)
  add_library(fuzz_support STATIC EXCLUDE_FROM_ALL ${fuzz_support})
  target_include_directories(fuzz_support PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_definitions(fuzz_support PUBLIC TIMBRE_LIBFUZZER)
  target_link_libraries(fuzz_support PUBLIC timbre GTest::gtest)
  foreach(source ${fuzz_sources})
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "_fuzz_test" "" name ${name})
    add_executable(fuzz_${name} ${source})
    target_link_libraries(fuzz_${name} PRIVATE fuzz_support)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  endforeach()
endif()
