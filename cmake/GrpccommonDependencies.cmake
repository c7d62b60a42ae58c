# SPDX-License-Identifier: Apache-2.0
# Finds what grpccommon links, on Debian 12 and on vcpkg alike.
#
# Debian ships protobuf without a CMake package, vcpkg ships one that gRPC's
# own package needs first; hence the order.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Protobuf CONFIG QUIET)
if(NOT Protobuf_FOUND)
  find_package(Protobuf REQUIRED)
endif()
find_package(gRPC CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(nlohmann_json 3.11 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CURL REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(re2 CONFIG QUIET)
if(NOT re2_FOUND)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET GLOBAL re2)
  if(NOT TARGET re2::re2)
    add_library(re2::re2 ALIAS PkgConfig::RE2)
  endif()
endif()
