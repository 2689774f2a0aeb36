# zipmodule_test(<program> LABEL <label> SOURCES <files> LINKS <targets> [FIXTURE <name>] [TIMEOUT <seconds>]): one test
# program, and one ctest test per source file, so that `ctest -R writer_test` runs one file and a failure names it. A
# service the label needs comes as a ctest fixture; where it can't be started, the tests fail, they are not skipped.
#
# zipmodule_test_sources(<program> LABEL ...): more sources of that program, with a label, fixture and timeout of their own.
#
# zipmodule_label(<label> <target>): the target tests_<label> builds what the tests of a label need, this target too.
find_package(Catch2 REQUIRED)

# The code of the tests themselves is compiled without optimization, which takes half the time; src is as released.
add_library(test_options INTERFACE)
target_compile_options(test_options INTERFACE -O0)
target_link_libraries(test_options INTERFACE project_options project_warnings)
target_include_directories(test_options INTERFACE "${PROJECT_SOURCE_DIR}/tests")

function(zipmodule_test program)
  cmake_parse_arguments(arg "" "LABEL;FIXTURE;TIMEOUT" "SOURCES;LINKS" ${ARGN})
  add_executable(${program})
  target_link_libraries(${program} PRIVATE test_options zipmodule_base Catch2::Catch2WithMain ${arg_LINKS})
  zipmodule_test_sources(${program} ${ARGN})
endfunction()

function(zipmodule_label label target)
  if(NOT TARGET tests_${label})
    add_custom_target(tests_${label})
  endif()
  add_dependencies(tests_${label} ${target})
endfunction()

function(zipmodule_test_sources program)
  cmake_parse_arguments(arg "" "LABEL;FIXTURE;TIMEOUT" "SOURCES;LINKS" ${ARGN})
  target_sources(${program} PRIVATE ${arg_SOURCES})
  zipmodule_label(${arg_LABEL} ${program})
  foreach(source IN LISTS arg_SOURCES)
    get_filename_component(file "${source}" NAME_WE)
    if(NOT file MATCHES "_test$")
      continue()
    endif()
    set(test_name "${arg_LABEL}.${program}.${file}")
    add_test(NAME "${test_name}" COMMAND ${program} --filenames-as-tags "[#${file}]")
    set_tests_properties("${test_name}" PROPERTIES LABELS "${arg_LABEL}" FAIL_REGULAR_EXPRESSION "No test cases matched")
    if(arg_FIXTURE)
      get_property(environment GLOBAL PROPERTY "zipmodule_environment_${arg_FIXTURE}")
      get_property(path GLOBAL PROPERTY "zipmodule_path_${arg_FIXTURE}")
      set_tests_properties("${test_name}" PROPERTIES FIXTURES_REQUIRED "${arg_FIXTURE}" ENVIRONMENT "${environment}"
                                                     ENVIRONMENT_MODIFICATION "${path}")
    endif()
    if(arg_TIMEOUT)
      set_tests_properties("${test_name}" PROPERTIES TIMEOUT "${arg_TIMEOUT}")
    endif()
  endforeach()
endfunction()
