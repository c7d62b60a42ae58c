# SPDX-License-Identifier: Apache-2.0
# grpccommon_module(<name>
#   HEADERS …    # below include/grpccommon/<name>/, installed as they lie
#   SOURCES …    # below src/<name>/
#   PUBLIC …     # libraries seen in its headers
#   PRIVATE …    # libraries seen in its sources only
#   TESTS …)     # below tests/<name>/, one program each, without ".cc"
#
# Declares grpccommon::<name>. A test links only its own module and what it
# names itself, so a forgotten dependency fails to link. All modules together
# are the one library grpccommon::grpccommon (see GrpccommonLibrary.cmake).
#
# `testing` serves both sides: a program with GRPCCOMMON_LINKS_MODULES set gets
# the modules through it, any other program the one library.
#
# grpccommon_own_protos(<target> …)
# As grpccommon_generate(), for protos whose code is part of the library.
include_guard(GLOBAL)

add_library(grpccommon_flags INTERFACE)
target_compile_features(grpccommon_flags INTERFACE cxx_std_20)
if(GRPCCOMMON_WERROR)
  target_compile_options(grpccommon_flags INTERFACE
    -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror
    -Wno-missing-field-initializers  # designated initialisers leave defaults
    $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
    # gcc 12 reports these falsely in std::string and std::function code.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-stringop-overread
      -Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow>)
endif()

# Code of the one shared library, where a call costs what it touches:
#   calls within the library are direct (nobody replaces its functions), those
#   to others take no stub on their way;
#   thread-local values, which are few and small, lie in the part that every
#   thread has from its start. A program that loads the library by dlopen has
#   some of the loader's reserve for them (512 bytes in glibc) taken.
add_library(grpccommon_shared_flags INTERFACE)
if(BUILD_SHARED_LIBS AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  target_compile_options(grpccommon_shared_flags INTERFACE
    -fno-semantic-interposition -fno-plt -ftls-model=initial-exec)
endif()

find_program(GRPCCOMMON_MOLD NAMES mold)
find_program(GRPCCOMMON_CCACHE NAMES ccache)
mark_as_advanced(GRPCCOMMON_MOLD GRPCCOMMON_CCACHE)
if(PROJECT_IS_TOP_LEVEL)
  if(GRPCCOMMON_MOLD)
    target_link_options(grpccommon_flags INTERFACE -fuse-ld=mold)
  endif()
  if(GRPCCOMMON_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${GRPCCOMMON_CCACHE}")
  endif()
endif()

set_property(GLOBAL PROPERTY GRPCCOMMON_MODULES "")
set_property(GLOBAL PROPERTY GRPCCOMMON_PROTO_TARGETS "")

function(grpccommon_own_protos target)
  grpccommon_generate(${target} ${ARGN} BASE "${PROJECT_SOURCE_DIR}/proto")
  # Generated code has no export macro, and applications use it.
  set_target_properties(${target} PROPERTIES
    EXCLUDE_FROM_ALL ON
    CXX_VISIBILITY_PRESET default
    VISIBILITY_INLINES_HIDDEN OFF)
  set_property(GLOBAL APPEND PROPERTY GRPCCOMMON_PROTO_TARGETS ${target})
endfunction()

function(grpccommon_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" ""
    "HEADERS;SOURCES;PUBLIC;PRIVATE;TESTS")
  set(include "${PROJECT_SOURCE_DIR}/libgrpccommon/include")
  list(TRANSFORM arg_HEADERS PREPEND "${include}/grpccommon/${name}/")
  list(TRANSFORM arg_SOURCES
    PREPEND "${PROJECT_SOURCE_DIR}/libgrpccommon/src/${name}/")

  set(target grpccommon_${name})
  add_library(${target} STATIC ${arg_SOURCES} ${arg_HEADERS})
  add_library(grpccommon::${name} ALIAS ${target})
  target_include_directories(${target}
    PUBLIC "$<BUILD_INTERFACE:${include}>"
    PRIVATE "${PROJECT_SOURCE_DIR}/libgrpccommon/src")
  target_link_libraries(${target}
    PRIVATE ${arg_PRIVATE} $<BUILD_INTERFACE:grpccommon_flags>)
  if(NOT name STREQUAL "testing")
    target_link_libraries(${target}
      PRIVATE $<BUILD_INTERFACE:grpccommon_shared_flags>)
  endif()
  if(name STREQUAL "testing")
    set(modules "$<TARGET_PROPERTY:GRPCCOMMON_LINKS_MODULES>")
    foreach(library IN LISTS arg_PUBLIC)
      if(library MATCHES "^grpccommon(::|_)")
        target_link_libraries(${target}
          PUBLIC "$<BUILD_INTERFACE:$<$<BOOL:${modules}>:${library}>>")
      else()
        target_link_libraries(${target} PUBLIC ${library})
      endif()
    endforeach()
    target_link_libraries(${target} INTERFACE
      "$<BUILD_INTERFACE:$<$<NOT:$<BOOL:${modules}>>:grpccommon::grpccommon>>"
      "$<INSTALL_INTERFACE:grpccommon::grpccommon>")
    set_target_properties(${target} PROPERTIES
      EXPORT_NAME testing
      GRPCCOMMON_LINKS_MODULES ON)
  else()
    target_link_libraries(${target} PUBLIC ${arg_PUBLIC})
    set_target_properties(${target} PROPERTIES
      EXCLUDE_FROM_ALL ON
      COMPATIBLE_INTERFACE_BOOL GRPCCOMMON_LINKS_MODULES
      INTERFACE_GRPCCOMMON_LINKS_MODULES ON)
  endif()
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    GRPCCOMMON_PUBLIC "${arg_PUBLIC}"
    GRPCCOMMON_PRIVATE "${arg_PRIVATE}"
    GRPCCOMMON_HEADERS "${arg_HEADERS}")
  set_property(GLOBAL APPEND PROPERTY GRPCCOMMON_MODULES ${name})

  if(GRPCCOMMON_TESTS)
    foreach(test IN LISTS arg_TESTS)
      grpccommon_test(${name}/${test}
        SOURCES "${PROJECT_SOURCE_DIR}/tests/${name}/${test}.cc"
        LIBRARIES grpccommon::${name}
        LABELS unit)
    endforeach()
  endif()
endfunction()
