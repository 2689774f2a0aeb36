# zipmodule_test(<program> LABEL <label> SOURCES <files> LINKS <targets> [FIXTURE <name>]): one test program, and one ctest
# test per source file, so that `ctest -R writer_test` runs one file and a failure names it. A service the label needs
# comes as a ctest fixture; where it can't be started, the tests fail, they are not skipped.
#
# zipmodule_label(<label> <target>): the target tests_<label> builds what the tests of a label need, this target too.
find_package(Catch2 REQUIRED)

function(zipmodule_label label target)
  if(NOT TARGET tests_${label})
    add_custom_target(tests_${label})
  endif()
  add_dependencies(tests_${label} ${target})
endfunction()

function(zipmodule_test program)
  cmake_parse_arguments(arg "" "LABEL;FIXTURE;TIMEOUT" "SOURCES;LINKS" ${ARGN})
  add_executable(${program} ${arg_SOURCES})
  target_include_directories(${program} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${program} PRIVATE project_options project_warnings Catch2::Catch2WithMain ${arg_LINKS})
  target_compile_definitions(${program} PRIVATE ZIPMODULE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                ZIPMODULE_BINARY_DIR="${PROJECT_BINARY_DIR}")
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
