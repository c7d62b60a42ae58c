# SPDX-License-Identifier: Apache-2.0
# grpccommon_test(<folder/name> SOURCES … LIBRARIES … [LABELS …])
# One GoogleTest program, registered with ctest under its name.
#
# grpccommon_benchmark(<name> SOURCES … LIBRARIES …)
# One Google Benchmark program, benchmarks/<name> in the build folder. ctest does
# not run it: its figures mean something in the release preset and on a quiet
# machine only.
#
# grpccommon_fuzzer(<name> SOURCES … LIBRARIES …)
# One libFuzzer program, built by the `fuzz` preset and run by its ctest for a
# short while. What it learns stays in the build folder; inputs that were once a
# bug, in tests/fuzz/corpus/<name>, are run every time.
#
# Each of them links either modules or grpccommon::grpccommon.
include_guard(GLOBAL)

# Tells grpccommon::testing on which side a program stands.
function(_grpccommon_links_modules target)
  get_property(modules GLOBAL PROPERTY GRPCCOMMON_MODULES)
  list(REMOVE_ITEM modules testing)
  foreach(library IN LISTS ARGN)
    string(REGEX REPLACE "^grpccommon(::|_)" "" name "${library}")
    if(name IN_LIST modules)
      set_target_properties(${target} PROPERTIES GRPCCOMMON_LINKS_MODULES ON)
    endif()
  endforeach()
endfunction()

# What can be built and run as one, without everything else. The unit tests of
# one folder alone are <folder>_tests.
add_custom_target(unit_tests)
add_custom_target(benchmarks)
add_custom_target(fuzzers)

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
  _grpccommon_links_modules(${target} ${arg_LIBRARIES})
  add_test(NAME ${name} COMMAND ${target} ${arg_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
  if("unit" IN_LIST arg_LABELS)
    get_filename_component(folder "${name}" DIRECTORY)
    if(NOT TARGET ${folder}_tests)
      add_custom_target(${folder}_tests)
      add_dependencies(unit_tests ${folder}_tests)
    endif()
    add_dependencies(${folder}_tests ${target})
  endif()
  if(arg_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
  endif()
endfunction()

function(grpccommon_benchmark_program name)
  target_link_libraries(${name} PRIVATE grpccommon_flags)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/benchmarks")
  add_dependencies(benchmarks ${name})
endfunction()

function(grpccommon_benchmark name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name}
    PRIVATE ${arg_LIBRARIES} grpccommon_micro_benchmark)
  target_include_directories(${name}
    PRIVATE "${PROJECT_SOURCE_DIR}/libgrpccommon/src")
  grpccommon_benchmark_program(${name})
  _grpccommon_links_modules(${name} ${arg_LIBRARIES})
endfunction()

function(grpccommon_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} grpccommon_flags)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests"
    "${PROJECT_SOURCE_DIR}/libgrpccommon/src")
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
  _grpccommon_links_modules(${name} ${arg_LIBRARIES})
  add_dependencies(fuzzers ${name})
  set(learned "${PROJECT_BINARY_DIR}/fuzz/${name}_corpus")
  file(MAKE_DIRECTORY "${learned}")
  set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  if(NOT IS_DIRECTORY "${corpus}")
    set(corpus "")
  endif()
  add_test(NAME fuzz/${name}
    COMMAND ${name} -max_total_time=20 -runs=10000000 -timeout=10
      -print_final_stats=1 "${learned}" ${corpus})
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
