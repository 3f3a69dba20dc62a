# HTTP for `timbre serve`, by a library that is opened when one starts, and the journal in which its jobs outlive it.
pkg_check_modules(MICROHTTPD REQUIRED libmicrohttpd)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
target_include_directories(timbre SYSTEM PRIVATE ${MICROHTTPD_INCLUDE_DIRS})
target_link_libraries(timbre PRIVATE PkgConfig::SQLITE)

# Its routes and its worker are the program's own.
file(GLOB SERVER_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/server/*.cc)
cmake_language(DEFER CALL target_sources timbre_cli PRIVATE ${SERVER_SOURCES})
