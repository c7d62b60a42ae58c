# SPDX-License-Identifier: Apache-2.0
# How CI builds otherwise than a developer does, who builds a file at a time: all
# of it, once, on a machine that never did before. CMake includes this after
# project(); `.ci/run` says so.

# Nobody debugs here; but a sanitizer is to name the line.
string(REPLACE "-O1" "-O0" CMAKE_CXX_FLAGS_DEBUG "${CMAKE_CXX_FLAGS_DEBUG}")
if(NOT CMAKE_CXX_FLAGS_DEBUG MATCHES "-fsanitize")
  string(REPLACE "-g1" "" CMAKE_CXX_FLAGS_DEBUG "${CMAKE_CXX_FLAGS_DEBUG}")
endif()

# They are run, and so built, in release.
set(GRPCCOMMON_BENCHMARKS OFF CACHE BOOL "")

# What nearly every test and service includes is parsed once. That each file
# includes what it uses, a developer's build sees to.
set(precompiled "${PROJECT_BINARY_DIR}/precompiled.cc")
if(NOT EXISTS "${precompiled}")
  file(TOUCH "${precompiled}")
endif()
add_library(grpccommon_precompiled OBJECT "${precompiled}")
target_link_libraries(grpccommon_precompiled PRIVATE
  grpccommon_flags gRPC::grpc++ absl::statusor GTest::gmock)
set_target_properties(grpccommon_precompiled PROPERTIES CXX_EXTENSIONS OFF)
target_precompile_headers(grpccommon_precompiled PRIVATE
  <gmock/gmock.h> <gtest/gtest.h> <grpcpp/grpcpp.h>
  <absl/status/status.h> <absl/status/statusor.h>
  <algorithm> <chrono> <functional> <future> <map> <memory> <optional>
  <string> <string_view> <thread> <vector>)

function(grpccommon_precompile folder)
  get_property(targets DIRECTORY "${folder}" PROPERTY BUILDSYSTEM_TARGETS)
  list(REMOVE_ITEM targets grpccommon_precompiled)
  foreach(target IN LISTS targets)
    get_target_property(libraries ${target} LINK_LIBRARIES)
    get_target_property(extensions ${target} CXX_EXTENSIONS)
    get_target_property(options ${target} COMPILE_OPTIONS)
    get_target_property(position_independent ${target}
      POSITION_INDEPENDENT_CODE)
    # The library's modules and generated code have other flags.
    if("grpccommon_flags" IN_LIST libraries AND extensions STREQUAL "OFF"
        AND NOT options AND NOT position_independent)
      target_precompile_headers(${target} REUSE_FROM grpccommon_precompiled)
      # As the headers were compiled; they are read anew where that is not so.
      target_compile_options(${target} PRIVATE
        -pthread -DGTEST_HAS_PTHREAD=1 -Wno-error=invalid-pch)
    endif()
  endforeach()
  get_property(folders DIRECTORY "${folder}" PROPERTY SUBDIRECTORIES)
  # Examples read as an application's code does, whose `testing` is not gtest's.
  list(REMOVE_ITEM folders "${PROJECT_SOURCE_DIR}/examples")
  foreach(subfolder IN LISTS folders)
    grpccommon_precompile("${subfolder}")
  endforeach()
endfunction()
cmake_language(DEFER CALL grpccommon_precompile "${PROJECT_SOURCE_DIR}")
