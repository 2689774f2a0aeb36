# Judges that need a compiler are built where it is installed (scripts/setup --judges), once per build.
set(judges "${PROJECT_BINARY_DIR}/judges")
set(built)

find_program(ZIPMODULE_GO go)
if(ZIPMODULE_GO)
  add_custom_command(
    OUTPUT "${judges}/go_judge"
    COMMAND "${CMAKE_COMMAND}" -E env "GOCACHE=${judges}/go-cache" GO111MODULE=off GOFLAGS= "${ZIPMODULE_GO}" build -o
            "${judges}/go_judge" "${CMAKE_CURRENT_SOURCE_DIR}/judges/judge.go"
    DEPENDS judges/judge.go
    VERBATIM)
  list(APPEND built "${judges}/go_judge")
endif()

find_program(ZIPMODULE_JAVAC javac)
if(ZIPMODULE_JAVAC)
  add_custom_command(
    OUTPUT "${judges}/Judge.class"
    COMMAND "${ZIPMODULE_JAVAC}" -d "${judges}" "${CMAKE_CURRENT_SOURCE_DIR}/judges/Judge.java"
    DEPENDS judges/Judge.java
    VERBATIM)
  list(APPEND built "${judges}/Judge.class")
endif()

add_custom_target(zipmodule_judges DEPENDS ${built})
add_dependencies(zipmodule_test_support zipmodule_judges)
