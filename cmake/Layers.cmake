# zipmodule_layer(<folder> SOURCES ... LINKS ...): one folder, one target. LINKS may only name layers below it, so a call
# upwards does not link; tests/layers.cmake checks the #include lines as well.
function(zipmodule_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE" ${ARGN})
  add_library(zipmodule_${name} STATIC ${arg_SOURCES})
  target_link_libraries(
    zipmodule_${name}
    PUBLIC project_options ${arg_LINKS}
    PRIVATE project_warnings ${arg_PRIVATE})
endfunction()
