# SPDX-License-Identifier: Apache-2.0
# Finds SOCI with its SQLite back end: SOCI::soci_core and SOCI::soci_sqlite3.
#
# vcpkg ships a CMake package, whose targets end in _static where it is built
# so; Debian ships libraries and headers only.
find_package(soci CONFIG QUIET)
if(soci_FOUND)
  foreach(part IN ITEMS soci_core soci_sqlite3)
    if(NOT TARGET SOCI::${part} AND TARGET SOCI::${part}_static)
      add_library(SOCI::${part} ALIAS SOCI::${part}_static)
    endif()
  endforeach()
  set(SOCI_FOUND TRUE)
  return()
endif()

find_path(SOCI_INCLUDE_DIR soci/soci.h)
find_library(SOCI_CORE_LIBRARY soci_core)
find_library(SOCI_SQLITE3_LIBRARY soci_sqlite3)
find_package(SQLite3 QUIET)  # SOCI's header for it includes sqlite3.h
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SOCI
  REQUIRED_VARS SOCI_CORE_LIBRARY SOCI_SQLITE3_LIBRARY SOCI_INCLUDE_DIR
    SQLite3_FOUND)
mark_as_advanced(SOCI_INCLUDE_DIR SOCI_CORE_LIBRARY SOCI_SQLITE3_LIBRARY)
if(SOCI_FOUND AND NOT TARGET SOCI::soci_core)
  add_library(SOCI::soci_core UNKNOWN IMPORTED)
  set_target_properties(SOCI::soci_core PROPERTIES
    IMPORTED_LOCATION "${SOCI_CORE_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${SOCI_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS}")
  add_library(SOCI::soci_sqlite3 UNKNOWN IMPORTED)
  set_target_properties(SOCI::soci_sqlite3 PROPERTIES
    IMPORTED_LOCATION "${SOCI_SQLITE3_LIBRARY}"
    INTERFACE_LINK_LIBRARIES "SOCI::soci_core;SQLite::SQLite3")
endif()
