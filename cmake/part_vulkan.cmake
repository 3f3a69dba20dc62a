# Shaders become SPIR-V words at build time and are embedded; the loader itself is opened at run time, so that the program starts
# on a machine without any Vulkan.
find_path(VULKAN_INCLUDE vulkan/vulkan.h REQUIRED)
find_program(GLSLC glslc REQUIRED)
target_include_directories(timbre SYSTEM PRIVATE ${VULKAN_INCLUDE})

set(SHADER_DIR ${CMAKE_SOURCE_DIR}/src/kernels/vulkan/shaders)
set(SHADER_OUT ${CMAKE_BINARY_DIR}/shaders)
file(GLOB_RECURSE SHADERS CONFIGURE_DEPENDS RELATIVE ${SHADER_DIR} ${SHADER_DIR}/*.comp)
file(GLOB SHADER_HEADERS CONFIGURE_DEPENDS ${SHADER_DIR}/*.glsl)

# Older ones of glslc, such as Debian 12's, don't know cooperative matrices. The program then has no kernels that use them.
file(WRITE ${SHADER_OUT}/cooperative_matrix.comp "#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
void main() {}
")
execute_process(COMMAND ${GLSLC} --target-env=vulkan1.2 -o ${SHADER_OUT}/cooperative_matrix.spv ${SHADER_OUT}/cooperative_matrix.comp
  RESULT_VARIABLE NO_COOPERATIVE_MATRIX OUTPUT_QUIET ERROR_QUIET)
if(NO_COOPERATIVE_MATRIX)
  message(STATUS "Cooperative matrices: no, ${GLSLC} does not know GL_KHR_cooperative_matrix")
  list(FILTER SHADERS EXCLUDE REGEX "^cooperative/")
else()
  message(STATUS "Cooperative matrices: yes")
endif()
set(SHADER_TABLE "")
set(SHADER_WORDS "")
foreach(shader ${SHADERS})
  string(REGEX REPLACE "\\.comp$" "" name ${shader})
  string(REPLACE "/" "_" symbol ${name})
  add_custom_command(OUTPUT ${SHADER_OUT}/${symbol}.inc
    COMMAND ${GLSLC} --target-env=vulkan1.2 -O -mfmt=num -I ${SHADER_DIR} -o ${SHADER_OUT}/${symbol}.inc ${SHADER_DIR}/${shader}
    DEPENDS ${SHADER_DIR}/${shader} ${SHADER_HEADERS} VERBATIM)
  list(APPEND SHADER_INCS ${SHADER_OUT}/${symbol}.inc)
  string(APPEND SHADER_WORDS "const uint32_t k_${symbol}[] = {\n#include \"${symbol}.inc\"\n};\n")
  set(cooperative "")
  if(name MATCHES "^cooperative/")
    set(cooperative ", true")
  endif()
  string(APPEND SHADER_TABLE "    {\"${name}\", k_${symbol}${cooperative}},\n")
endforeach()
file(MAKE_DIRECTORY ${SHADER_OUT})
file(CONFIGURE OUTPUT ${SHADER_OUT}/shaders.cc @ONLY CONTENT "// Made at build time from kernels/vulkan/shaders.
#include \"kernels/vulkan/recorder.h\"

namespace timbre {
namespace {

@SHADER_WORDS@
const Shader kShaders[] = {
@SHADER_TABLE@};

}  // namespace

std::span<const Shader> AllShaders() { return kShaders; }

}  // namespace timbre
")
set_source_files_properties(${SHADER_OUT}/shaders.cc PROPERTIES OBJECT_DEPENDS "${SHADER_INCS}" INCLUDE_DIRECTORIES ${SHADER_OUT})
target_sources(timbre PRIVATE ${SHADER_OUT}/shaders.cc)
