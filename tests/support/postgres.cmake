# The ctest fixture 'postgres': one private server for all tests that require it, started and stopped by ctest itself.
# The socket is reached by a link whose path is known now: a socket address holds 107 bytes only.
set(postgres_directory "${PROJECT_BINARY_DIR}/postgres")
set(postgres_socket "${postgres_directory}/socket")
string(LENGTH "${postgres_socket}" length)
if(length GREATER 93)
  string(SHA1 hash "${postgres_directory}")
  string(SUBSTRING "${hash}" 0 12 hash)
  set(postgres_socket "/tmp/zipmodule-test-${hash}")
endif()

add_test(NAME postgres.start COMMAND "${PROJECT_SOURCE_DIR}/scripts/test-postgres" start "${postgres_directory}" --socket
                                     "${postgres_socket}")
add_test(NAME postgres.stop COMMAND "${PROJECT_SOURCE_DIR}/scripts/test-postgres" stop "${postgres_directory}")
set_tests_properties(postgres.start PROPERTIES FIXTURES_SETUP postgres TIMEOUT 120)
set_tests_properties(postgres.stop PROPERTIES FIXTURES_CLEANUP postgres TIMEOUT 60)

# Debian's psql is a Perl script that looks for the real one, which takes longer than most statements of the tests.
file(GLOB postgres_programs /usr/lib/postgresql/*/bin)
list(SORT postgres_programs COMPARE NATURAL)
if(postgres_programs)
  list(GET postgres_programs -1 newest)
  set_property(GLOBAL PROPERTY zipmodule_path_postgres "PATH=path_list_prepend:${newest}")
endif()

# What zipmodule_test(... FIXTURE postgres) hands to its tests.
set_property(GLOBAL PROPERTY zipmodule_environment_postgres "ZIPMODULE_TEST_PG_HOST=${postgres_socket}"
                                                            "ZIPMODULE_TEST_PG_USER=postgres")
