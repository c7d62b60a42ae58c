# SPDX-License-Identifier: Apache-2.0
# grpccommon_test(<folder/name> SOURCES … LIBRARIES … [LABELS …])
# One GoogleTest program, registered with ctest under its name.
include_guard(GLOBAL)
find_package(GTest CONFIG REQUIRED)

function(grpccommon_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LIBRARIES;LABELS;ARGS")
  string(REPLACE "/" "_" target "${name}")
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target}
    PRIVATE ${arg_LIBRARIES} GTest::gmock GTest::gtest_main grpccommon_flags)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests"
    "${PROJECT_SOURCE_DIR}/libgrpccommon/src")
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${target} ${arg_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
  if(arg_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
  endif()
endfunction()
