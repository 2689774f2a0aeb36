# zipmodule_embed_sql(<target> <header> <directory>...): turns every .sql file of the directories into a constant of the
# generated header, so that the binary needs no files beside it. Runs again when a file changes or is added.
function(zipmodule_embed_sql target header)
  set(files)
  foreach(directory IN LISTS ARGN)
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${directory}/*.sql")
    list(APPEND files ${found})
  endforeach()
  list(SORT files)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/generated/${header}")
  list(JOIN files "|" joined)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${output}" "-DFILES=${joined}" "-DROOT=${PROJECT_SOURCE_DIR}/sql" -P
            "${PROJECT_SOURCE_DIR}/cmake/embed_sql_script.cmake"
    DEPENDS ${files} "${PROJECT_SOURCE_DIR}/cmake/embed_sql_script.cmake"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/generated")
endfunction()
