# SPDX-License-Identifier: Apache-2.0
# Finds SOCI with two of its back ends: SOCI::soci_core, SOCI::soci_sqlite3 and
# SOCI::soci_postgresql.
#
# vcpkg ships a CMake package, whose targets end in _static where it is built
# so; Debian ships libraries and headers only.
set(_soci_parts soci_core soci_sqlite3 soci_postgresql)
find_package(soci CONFIG QUIET)
if(soci_FOUND)
  set(SOCI_FOUND TRUE)
  foreach(part IN LISTS _soci_parts)
    if(NOT TARGET SOCI::${part} AND TARGET SOCI::${part}_static)
      add_library(SOCI::${part} ALIAS SOCI::${part}_static)
    endif()
    if(NOT TARGET SOCI::${part})
      set(SOCI_FOUND FALSE)
    endif()
  endforeach()
  return()
endif()

find_path(SOCI_INCLUDE_DIR soci/soci.h)
find_library(SOCI_CORE_LIBRARY soci_core)
find_library(SOCI_SQLITE3_LIBRARY soci_sqlite3)
find_library(SOCI_POSTGRESQL_LIBRARY soci_postgresql)
# SOCI's headers for them include sqlite3.h and libpq-fe.h.
find_package(SQLite3 QUIET)
find_package(PostgreSQL QUIET)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SOCI
  REQUIRED_VARS SOCI_CORE_LIBRARY SOCI_SQLITE3_LIBRARY SOCI_POSTGRESQL_LIBRARY
    SOCI_INCLUDE_DIR SQLite3_FOUND PostgreSQL_FOUND)
mark_as_advanced(SOCI_INCLUDE_DIR SOCI_CORE_LIBRARY SOCI_SQLITE3_LIBRARY
  SOCI_POSTGRESQL_LIBRARY)
if(SOCI_FOUND AND NOT TARGET SOCI::soci_core)
  foreach(part IN LISTS _soci_parts)
    string(TOUPPER "${part}_LIBRARY" library)
    add_library(SOCI::${part} UNKNOWN IMPORTED)
    set_target_properties(SOCI::${part} PROPERTIES
      IMPORTED_LOCATION "${${library}}"
      INTERFACE_INCLUDE_DIRECTORIES "${SOCI_INCLUDE_DIR}")
  endforeach()
  target_link_libraries(SOCI::soci_core INTERFACE ${CMAKE_DL_LIBS})
  target_link_libraries(SOCI::soci_sqlite3
    INTERFACE SOCI::soci_core SQLite::SQLite3)
  target_link_libraries(SOCI::soci_postgresql
    INTERFACE SOCI::soci_core PostgreSQL::PostgreSQL)
endif()
