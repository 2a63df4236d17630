# cmake --install, find_package(sluice), pkg-config and, with cpack -G DEB, packages for Debian.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The static library is one object: operators register themselves from their own files, and a linker takes only
# those files of an archive that something asks for.
set(STATIC_OBJECT ${CMAKE_CURRENT_BINARY_DIR}/sluice_static.o)
add_custom_command(
  OUTPUT ${STATIC_OBJECT}
  COMMAND ${CMAKE_LINKER} -r --strip-debug -o ${STATIC_OBJECT} $<FILTER:$<TARGET_OBJECTS:sluice_core>,EXCLUDE,[.][gp]ch$> $<TARGET_OBJECTS:sluice_proto>
  DEPENDS sluice_core sluice_proto $<TARGET_OBJECTS:sluice_core> $<TARGET_OBJECTS:sluice_proto>
  COMMAND_EXPAND_LISTS VERBATIM)
add_library(sluice_static STATIC ${STATIC_OBJECT})
set_source_files_properties(${STATIC_OBJECT} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
set_target_properties(sluice_static PROPERTIES OUTPUT_NAME sluice LINKER_LANGUAGE CXX)

install(TARGETS sluice
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
install(TARGETS sluice_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY runtime/include/sluice DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
if(TARGET sluice_cli)
  install(TARGETS sluice_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
endif()

# The reference of the headers, where Doxygen is.
find_program(DOXYGEN doxygen)
find_program(Python_EXECUTABLE python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(DOXYGEN)
  configure_file(runtime/Doxyfile.in Doxyfile @ONLY)
  add_custom_target(reference COMMAND ${DOXYGEN} ${CMAKE_CURRENT_BINARY_DIR}/Doxyfile VERBATIM)
endif()

# What a program that links the static library needs beside it, by pkg-config's words.
set(STATIC_LIBRARIES "-ltbb -ldnnl -lhwy -lfmt -lre2 -lprotobuf-lite -lpng -ltiff -lturbojpeg -lwebp -lopenjp2 -lgomp -lstdc++ -lm -lpthread")
configure_file(runtime/sluice.pc.in sluice.pc @ONLY)
configure_package_config_file(runtime/sluice-config.cmake.in sluice-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(sluice-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sluice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/sluice-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/sluice-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sluice COMPONENT development)

set(CPACK_PACKAGE_NAME sluice)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Sluice authors <sluice@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_CURRENT_BINARY_DIR})
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libsluice0)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Runs ONNX models on the CPU: the shared library")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libsluice-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libsluice0 (= ${PROJECT_VERSION}), libtbb-dev, libdnnl-dev, libhwy-dev, libfmt-dev, libre2-dev, libprotobuf-dev, libpng-dev, libtiff-dev, libturbojpeg0-dev, libwebp-dev, libopenjp2-7-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Runs ONNX models on the CPU: headers, static library, CMake and pkg-config files")
if(TARGET sluice_cli)
  list(APPEND CPACK_COMPONENTS_ALL command)
  set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME sluice)
  set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION science)
  set(CPACK_COMPONENT_COMMAND_DESCRIPTION "Runs ONNX models on the CPU: the command and the server")
endif()
if(TARGET _sluice)
  list(APPEND CPACK_COMPONENTS_ALL python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-sluice)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "libsluice0 (= ${PROJECT_VERSION}), python3 (>= 3.11), python3 (<< 3.12), python3-numpy")
  set(CPACK_COMPONENT_PYTHON_DESCRIPTION "Runs ONNX models on the CPU: the module for Python")
endif()
include(CPack)
