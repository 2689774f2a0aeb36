# project_options: how everything of ours is compiled. project_warnings: what the compiler must say.
add_library(project_options INTERFACE)
target_compile_features(project_options INTERFACE cxx_std_20)
target_include_directories(project_options INTERFACE "${PROJECT_SOURCE_DIR}/src")
# Archives past 2 GiB must work on 32-bit hosts too.
target_compile_definitions(project_options INTERFACE _FILE_OFFSET_BITS=64)

set(ZIPMODULE_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")
if(ZIPMODULE_SANITIZE)
  target_compile_options(project_options INTERFACE "-fsanitize=${ZIPMODULE_SANITIZE}" -fno-omit-frame-pointer
                                                   -fno-sanitize-recover=all)
  # GCC 12 sees uninitialized members in its own <regex> once the address sanitizer is on (its bug 105562); the builds
  # without sanitizers keep the warning.
  target_compile_options(project_options INTERFACE "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
  target_link_options(project_options INTERFACE "-fsanitize=${ZIPMODULE_SANITIZE}")
endif()

# Fuzzers reach the borders of chunks with inputs of a few kilobytes only where chunks are small.
set(ZIPMODULE_CHUNK_BYTES "" CACHE STRING "Bytes of a chunk of a large entry, where not as released")
if(ZIPMODULE_CHUNK_BYTES)
  target_compile_definitions(project_options INTERFACE "ZIPMODULE_CHUNK_BYTES=${ZIPMODULE_CHUNK_BYTES}")
endif()

add_library(project_warnings INTERFACE)
target_compile_options(
  project_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast
                             -Wcast-align -Woverloaded-virtual -Wnull-dereference -Wextra-semi)
option(ZIPMODULE_WERROR "Treat warnings as errors" OFF)
if(ZIPMODULE_WERROR)
  target_compile_options(project_warnings INTERFACE -Werror)
endif()
