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
# are the one library grpccommon::grpccommon (see grpccommon_library).
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
    PUBLIC "${include}" "${PROJECT_BINARY_DIR}/include"
    PRIVATE "${PROJECT_SOURCE_DIR}/libgrpccommon/src")
  target_link_libraries(${target}
    PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} grpccommon_flags)
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
        LIBRARIES grpccommon::${name})
    endforeach()
  endif()
endfunction()
