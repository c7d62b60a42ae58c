# SPDX-License-Identifier: Apache-2.0
# grpccommon_precompile()
# Has what nearly every test and service includes parsed once. For those who
# build all of it, as CI and the sanitizers do; a developer builds a file at a
# time, and so sees that each one includes what it uses. Called after all targets
# are there.
include_guard(GLOBAL)

function(grpccommon_precompile)
  set(empty "${PROJECT_BINARY_DIR}/precompiled.cc")
  if(NOT EXISTS "${empty}")
    file(TOUCH "${empty}")
  endif()
  add_library(grpccommon_precompiled OBJECT "${empty}")
  target_link_libraries(grpccommon_precompiled PRIVATE
    grpccommon_flags gRPC::grpc++ absl::statusor GTest::gmock)
  set_target_properties(grpccommon_precompiled PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(grpccommon_precompiled PRIVATE
    # With a time in it, no object that was made with it is found by ccache.
    "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
  target_precompile_headers(grpccommon_precompiled PRIVATE
    <gmock/gmock.h> <gtest/gtest.h> <grpcpp/grpcpp.h>
    <absl/status/status.h> <absl/status/statusor.h>
    <algorithm> <chrono> <functional> <future> <map> <memory> <optional>
    <string> <string_view> <thread> <vector>)
  _grpccommon_use_precompiled("${PROJECT_SOURCE_DIR}")
endfunction()

function(_grpccommon_use_precompiled folder)
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
      # As the headers were compiled; gcc reads them anew where that is not so.
      target_compile_options(${target} PRIVATE
        -pthread -DGTEST_HAS_PTHREAD=1
        $<$<CXX_COMPILER_ID:GNU>:-Wno-error=invalid-pch>)
    endif()
  endforeach()
  get_property(folders DIRECTORY "${folder}" PROPERTY SUBDIRECTORIES)
  # Examples read as an application's code does, whose `testing` is not gtest's.
  list(REMOVE_ITEM folders "${PROJECT_SOURCE_DIR}/examples")
  foreach(subfolder IN LISTS folders)
    _grpccommon_use_precompiled("${subfolder}")
  endforeach()
endfunction()
