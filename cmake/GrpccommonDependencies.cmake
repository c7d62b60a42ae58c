# SPDX-License-Identifier: Apache-2.0
# grpccommon_find_dependencies(<package> …)
#
# Finds packages on Debian 12 and on vcpkg alike, in the order in which they
# need each other. Serves the build and, installed beside it,
# grpccommonConfig.cmake; the including file says by a macro `_grpccommon_find`
# whether that is find_package(… REQUIRED) or find_dependency.
include_guard(GLOBAL)

# Every package that the library can link, in finding order: vcpkg's gRPC
# package wants Protobuf and Abseil found before it.
set(GRPCCOMMON_PACKAGES
  Threads OpenSSL absl Protobuf gRPC c-ares prometheus-cpp nlohmann_json spdlog CURL
  Boost re2 GTest benchmark
  CACHE INTERNAL "")

# A macro, so that find_dependency can return from the file that calls it.
macro(grpccommon_find_dependencies)
  foreach(_package IN ITEMS ${ARGN})
    if(_package STREQUAL "Protobuf")
      # Debian ships no CMake package of protobuf, vcpkg does.
      find_package(Protobuf CONFIG QUIET)
      if(NOT Protobuf_FOUND)
        _grpccommon_find(Protobuf)
      endif()
    elseif(_package STREQUAL "OpenSSL")
      _grpccommon_find(OpenSSL 3)
    elseif(_package STREQUAL "nlohmann_json")
      _grpccommon_find(nlohmann_json 3.11 CONFIG)
    elseif(_package STREQUAL "Boost")
      _grpccommon_find(Boost 1.74)
    elseif(_package MATCHES "^(Threads|CURL)$")
      _grpccommon_find(${_package})
    elseif(_package STREQUAL "re2")
      find_package(re2 CONFIG QUIET)
      if(NOT TARGET re2::re2)
        _grpccommon_find(PkgConfig)
        pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET GLOBAL re2)
        # Not an alias: an exported target would then ask for PkgConfig::RE2.
        add_library(re2::re2 INTERFACE IMPORTED GLOBAL)
        set_property(TARGET re2::re2
          PROPERTY INTERFACE_LINK_LIBRARIES PkgConfig::RE2)
      endif()
    elseif(_package STREQUAL "c-ares")
      # After gRPC, which defines the target where there is no CMake package.
      if(NOT TARGET c-ares::cares)
        find_package(c-ares CONFIG QUIET)
      endif()
      if(NOT TARGET c-ares::cares)
        _grpccommon_find(PkgConfig)
        pkg_check_modules(CARES REQUIRED IMPORTED_TARGET GLOBAL libcares)
        add_library(c-ares::cares INTERFACE IMPORTED GLOBAL)
        set_property(TARGET c-ares::cares
          PROPERTY INTERFACE_LINK_LIBRARIES PkgConfig::CARES)
      endif()
    else()
      _grpccommon_find(${_package} CONFIG)
    endif()
  endforeach()
endmacro()

# grpccommon_packages_of(<variable> <library> …)
# The packages, in finding order, that provide these imported targets.
function(grpccommon_packages_of variable)
  set(wanted "")
  foreach(library IN LISTS ARGN)
    if(library MATCHES "^protobuf::")
      list(APPEND wanted Protobuf)
    elseif(library MATCHES "^([^:]+)::")
      list(APPEND wanted "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  set(found "")
  foreach(package IN LISTS GRPCCOMMON_PACKAGES)
    if(package IN_LIST wanted)
      list(APPEND found ${package})
    endif()
  endforeach()
  list(REMOVE_ITEM wanted ${found})
  if(wanted)
    message(FATAL_ERROR "GrpccommonDependencies.cmake does not know the package "
      "that provides: ${wanted}")
  endif()
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()
