# embed_page(TARGET FOLDER FUNCTION) bundles the page in FOLDER, a folder of the current source directory, into one
# HTML document and adds to TARGET a source with
#
#     std::string_view FUNCTION();   // FUNCTION with its namespace: sluice::tools::InspectPage
#
# which returns it, or "" where Node.js, npm or the network were missing when CMake ran: whoever serves the page says
# so then. FOLDER has page.html, page.js, perhaps page.css, package.json and package-lock.json with esbuild among its
# dependencies; tools/embed_page.mjs says how they go together. Packages are installed in the build folder.
find_program(NODE_PROGRAM NAMES node nodejs)
find_program(NPM_PROGRAM NAMES npm)
set(EMBED_PAGE_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_page.mjs)

# Sets `result` to whether MODULES holds the packages of FOLDER's lock file.
function(install_page_packages FOLDER MODULES result)
  set(${result} FALSE PARENT_SCOPE)
  if(NOT NODE_PROGRAM OR NOT NPM_PROGRAM)
    message(STATUS "${FOLDER}: no page, Node.js or npm is missing")
    return()
  endif()
  file(SHA256 ${FOLDER}/package-lock.json hash)
  set(installed "")
  if(EXISTS ${MODULES}/installed)
    file(READ ${MODULES}/installed installed)
  endif()
  if(NOT installed STREQUAL hash)
    file(COPY ${FOLDER}/package.json ${FOLDER}/package-lock.json DESTINATION ${MODULES})
    # Install scripts only look for other platforms' programs.
    execute_process(COMMAND ${NPM_PROGRAM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
                            --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=30000
                    WORKING_DIRECTORY ${MODULES} TIMEOUT 180 RESULT_VARIABLE status
                    OUTPUT_QUIET ERROR_VARIABLE errors)
    if(NOT status EQUAL 0)
      message(STATUS "${FOLDER}: no page, npm cannot install its packages: ${errors}")
      return()
    endif()
    file(WRITE ${MODULES}/installed ${hash})
  endif()
  set(${result} TRUE PARENT_SCOPE)
endfunction()

function(embed_page TARGET FOLDER FUNCTION)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${FOLDER})
  set(modules ${CMAKE_CURRENT_BINARY_DIR}/${FOLDER})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source}/package-lock.json)
  install_page_packages(${source} ${modules} installed)
  if(installed)
    set(page ${modules}/page.cpp)
    file(GLOB parts CONFIGURE_DEPENDS ${source}/*.js ${source}/*.css ${source}/*.html)
    add_custom_command(OUTPUT ${page}
                       COMMAND ${NODE_PROGRAM} ${EMBED_PAGE_SCRIPT} ${source} ${modules} ${FUNCTION} ${page}
                       DEPENDS ${parts} ${EMBED_PAGE_SCRIPT} ${modules}/installed
                       COMMENT "Bundling the page ${FOLDER}" VERBATIM)
  else()
    set(page ${modules}/no_page.cpp)
    string(REGEX REPLACE "::[^:]+$" "" namespace ${FUNCTION})
    string(REGEX REPLACE "^.*::" "" name ${FUNCTION})
    file(CONFIGURE OUTPUT ${page} @ONLY CONTENT
         "#include <string_view>\nnamespace @namespace@ {\nstd::string_view @name@();\nstd::string_view @name@() { return {}; }\n}\n")
  endif()
  target_sources(${TARGET} PRIVATE ${page})
  # A long literal; precompiled headers are of no use to it.
  set_source_files_properties(${page} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()
