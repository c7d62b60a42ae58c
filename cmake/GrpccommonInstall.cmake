# SPDX-License-Identifier: Apache-2.0
# The install: headers as they lie, the library, protos, the program
# grpccommon-probe, and the ways in for CMake (find_package) and for everything
# else (pkg-config).
#
# Components of find_package: `testing`, where it was built. `gateway` and
# `redis` are names kept for libraries that bring a heavy dependency.
include(CMakePackageConfigHelpers)

set(cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/grpccommon")
set(proto_dir "${CMAKE_INSTALL_DATADIR}/grpccommon/proto")

install(TARGETS grpccommon EXPORT grpccommonTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT grpccommonTargets NAMESPACE grpccommon::
  DESTINATION "${cmake_dir}")

if(TARGET grpccommon_probe)
  install(TARGETS grpccommon_probe RUNTIME
    DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

set(without_testing "")
if(NOT TARGET grpccommon_testing)
  set(without_testing PATTERN testing EXCLUDE)
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/libgrpccommon/include/"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h" ${without_testing})
get_property(proto_targets GLOBAL PROPERTY GRPCCOMMON_PROTO_TARGETS)
foreach(target IN LISTS proto_targets)
  get_target_property(folder ${target} GRPCCOMMON_GENERATED_DIR)
  install(DIRECTORY "${folder}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.pb.h")
endforeach()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/proto/grpccommon"
  DESTINATION "${proto_dir}" FILES_MATCHING PATTERN "*.proto")
if(NOT GRPCCOMMON_GOOGLE_PROTOS)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/proto/google"
    DESTINATION "${proto_dir}" FILES_MATCHING PATTERN "*.proto")
endif()

get_target_property(public grpccommon GRPCCOMMON_PUBLIC)
get_target_property(private grpccommon GRPCCOMMON_PRIVATE)
if(BUILD_SHARED_LIBS)
  set(needed ${public})
else()
  set(needed ${public} ${private})
endif()
grpccommon_packages_of(packages ${needed})

set(testing_packages "")
if(TARGET grpccommon_testing)
  install(TARGETS grpccommon_testing EXPORT grpccommonTestingTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT grpccommonTestingTargets NAMESPACE grpccommon::
    DESTINATION "${cmake_dir}")
  _grpccommon_outside_libraries(testing_public PUBLIC testing)
  _grpccommon_outside_libraries(testing_private PRIVATE testing)
  grpccommon_packages_of(testing_packages ${testing_public} ${testing_private})
endif()

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/grpccommonConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/install/grpccommonConfig.cmake"
  INSTALL_DESTINATION "${cmake_dir}" PATH_VARS proto_dir)
# Before 1.0 a minor version may break, as the SONAME says.
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/install/grpccommonConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/install/grpccommonConfig.cmake"
  "${PROJECT_BINARY_DIR}/install/grpccommonConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/GrpccommonDependencies.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/GrpccommonGenerate.cmake"
  DESTINATION "${cmake_dir}")

# pkg-config: names of the packages, and flags for what has none.
function(_grpccommon_pkgconfig requires_variable flags_variable)
  set(requires "")
  set(flags "")
  foreach(library IN LISTS ARGN)
    if(library MATCHES "^absl::(.*)")
      list(APPEND requires absl_${CMAKE_MATCH_1})
    elseif(library STREQUAL "protobuf::libprotobuf")
      list(APPEND requires protobuf)
    elseif(library MATCHES "^gRPC::(grpc\\+\\+|grpc|gpr)$")
      list(APPEND requires ${CMAKE_MATCH_1})
    elseif(library MATCHES "^gRPC::(.*)")
      list(APPEND flags -l${CMAKE_MATCH_1})
    elseif(library STREQUAL "OpenSSL::Crypto")
      list(APPEND requires libcrypto)
    elseif(library STREQUAL "OpenSSL::SSL")
      list(APPEND requires libssl)
    elseif(library MATCHES "^prometheus-cpp::(.*)")
      # Debian's has a .pc file, vcpkg's has none.
      list(APPEND flags -lprometheus-cpp-${CMAKE_MATCH_1})
    elseif(library MATCHES "^(spdlog|re2)::")
      list(APPEND requires ${CMAKE_MATCH_1})
    elseif(library STREQUAL "CURL::libcurl")
      list(APPEND requires libcurl)
    elseif(library STREQUAL "c-ares::cares")
      list(APPEND requires libcares)
    elseif(library STREQUAL "Threads::Threads")
      list(APPEND flags -pthread)
    elseif(NOT library IN_LIST GRPCCOMMON_HEADER_ONLY)
      message(FATAL_ERROR "GrpccommonInstall.cmake does not know the pkg-config "
        "name of ${library}")
    endif()
  endforeach()
  list(JOIN requires " " requires)
  list(JOIN flags " " flags)
  set(${requires_variable} "${requires}" PARENT_SCOPE)
  set(${flags_variable} "${flags}" PARENT_SCOPE)
endfunction()
# A static library needs all of them at once: `pkg-config --static` would ask
# for the static libraries of gRPC too.
_grpccommon_pkgconfig(pc_requires pc_libs ${needed})
set(pc_requires_private "")
set(pc_libs_private "")
if(BUILD_SHARED_LIBS)
  _grpccommon_pkgconfig(pc_requires_private pc_libs_private ${private})
endif()
foreach(kind IN ITEMS LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
    set(pc_${kind} "${CMAKE_INSTALL_${kind}}")
  else()
    set(pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  endif()
endforeach()
# The folder of the file itself says where the prefix is, so that an install
# can be moved.
file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${CMAKE_CURRENT_LIST_DIR}/grpccommon.pc.in"
  "${PROJECT_BINARY_DIR}/install/grpccommon.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/install/grpccommon.pc"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
