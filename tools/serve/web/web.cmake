# add_web_page(TARGET) bundles the page in this folder, compresses its files and adds to TARGET a source with
# WebFiles(), declared in files.h. Where Node.js, npm or the network are missing when CMake runs, there are none:
# http/assets.cpp then has a page that says how to get it.
include(${CMAKE_CURRENT_LIST_DIR}/../../embed_page.cmake)
set(WEB_SOURCE ${CMAKE_CURRENT_LIST_DIR})

function(add_web_page TARGET)
  set(modules ${CMAKE_CURRENT_BINARY_DIR}/web)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${WEB_SOURCE}/package-lock.json)
  install_page_packages(${WEB_SOURCE} ${modules} installed)
  if(installed)
    set(source ${modules}/files.cpp)
    file(GLOB parts CONFIGURE_DEPENDS ${WEB_SOURCE}/src/* ${WEB_SOURCE}/*.html ${WEB_SOURCE}/*.svg)
    add_custom_command(OUTPUT ${source}
                       COMMAND ${NODE_PROGRAM} ${WEB_SOURCE}/build.mjs ${WEB_SOURCE} ${modules} ${source} ${modules}/dist
                       DEPENDS ${parts} ${WEB_SOURCE}/build.mjs ${modules}/installed
                       COMMENT "Bundling the page of the server" VERBATIM)
  else()
    set(source ${modules}/no_files.cpp)
    file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
         "#include \"tools/serve/web/files.h\"\nnamespace sluice::serve {\nstd::span<const WebFile> WebFiles() { return {}; }\n}\n")
  endif()
  target_sources(${TARGET} PRIVATE ${source})
  set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()
