# SPDX-License-Identifier: Apache-2.0
# platform_migrations(<target> <namespace> <file.sql>…)
#
# Compiles the scripts of migrations/ beside the CMakeLists.txt, in the order in
# which they are listed, into a header "services/<name>/migrations.h" (the path
# of that folder) with `kMigrations` in the given C++ namespace, for
# DatabaseOptions::migrations. Statements end in ";" at the end of a line.
set(PLATFORM_MIGRATIONS_TEMPLATE "${CMAKE_CURRENT_LIST_DIR}/migrations.h.in")

function(platform_migrations target namespace)
  set(migrations "")
  foreach(file IN LISTS ARGN)
    file(READ "migrations/${file}" sql)
    string(APPEND migrations "    R\"sql(${sql})sql\",\n")
    set_property(DIRECTORY APPEND PROPERTY
      CMAKE_CONFIGURE_DEPENDS "migrations/${file}")
  endforeach()
  file(RELATIVE_PATH folder "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/migrations")
  configure_file("${PLATFORM_MIGRATIONS_TEMPLATE}"
    "${generated}/${folder}/migrations.h" @ONLY)
  target_include_directories(${target} PRIVATE "${generated}")
endfunction()
