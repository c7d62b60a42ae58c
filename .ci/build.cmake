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

set(GRPCCOMMON_PRECOMPILE ON CACHE BOOL "")
