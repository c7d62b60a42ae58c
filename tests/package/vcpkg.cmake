# SPDX-License-Identifier: Apache-2.0
# Runs the port's portfile as vcpkg does, with an install of an existing build
# in the place of its own build:
#   cmake -DBUILD=<build folder> -DCURRENT_PACKAGES_DIR=<folder> \
#     -DFEATURES=<features> -P vcpkg.cmake
# The functions below do what vcpkg's reference says of theirs, for a triplet
# that builds releases only.
cmake_minimum_required(VERSION 3.25)
set(PORT grpccommon)
set(CURRENT_INSTALLED_DIR "${CURRENT_PACKAGES_DIR}")

function(vcpkg_check_features)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "OUT_FEATURE_OPTIONS" "FEATURES")
  set(options "")
  while(arg_FEATURES)
    list(POP_FRONT arg_FEATURES feature option)
    if(feature IN_LIST FEATURES)
      list(APPEND options -D${option}=ON)
    else()
      list(APPEND options -D${option}=OFF)
    endif()
  endwhile()
  set(${arg_OUT_FEATURE_OPTIONS} "${options}" PARENT_SCOPE)
endfunction()

# Options must be the project's, as the cache of the build knows them.
function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
  if(NOT EXISTS "${arg_SOURCE_PATH}/CMakeLists.txt")
    message(FATAL_ERROR "no CMakeLists.txt in '${arg_SOURCE_PATH}'")
  endif()
  foreach(option IN LISTS arg_OPTIONS)
    if(NOT option MATCHES "^-D([A-Z_]+)=(ON|OFF)$")
      message(FATAL_ERROR "the portfile's option '${option}' is no switch")
    endif()
    file(STRINGS "${BUILD}/CMakeCache.txt" known
      REGEX "^${CMAKE_MATCH_1}:BOOL=")
    if(NOT known)
      message(FATAL_ERROR "the project has no option ${CMAKE_MATCH_1}")
    endif()
  endforeach()
endfunction()

function(vcpkg_cmake_install)
  execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}"
      --prefix "${CURRENT_PACKAGES_DIR}"
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# To share/<port>, which is one step nearer to the prefix.
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "CONFIG_PATH" "")
  set(share "${CURRENT_PACKAGES_DIR}/share/${PORT}")
  file(GLOB files "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/*")
  if(NOT files)
    message(FATAL_ERROR "nothing was installed in ${arg_CONFIG_PATH}")
  endif()
  file(COPY ${files} DESTINATION "${share}")
  get_filename_component(parent "${arg_CONFIG_PATH}" DIRECTORY)
  file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/${parent}")
  file(GLOB files "${share}/*.cmake")
  foreach(file IN LISTS files)
    file(READ "${file}" text)
    set(up [[get_filename_component(_IMPORT_PREFIX "${_IMPORT_PREFIX}" PATH)]])
    string(REPLACE "${up}\n${up}\n${up}" "${up}\n${up}" text "${text}")
    string(REPLACE
      [[PACKAGE_PREFIX_DIR "${CMAKE_CURRENT_LIST_DIR}/../../../"]]
      [[PACKAGE_PREFIX_DIR "${CMAKE_CURRENT_LIST_DIR}/../../"]]
      text "${text}")
    file(WRITE "${file}" "${text}")
  endforeach()
endfunction()

# The file finds its prefix by itself, so that there is nothing to do.
function(vcpkg_fixup_pkgconfig)
  if(NOT EXISTS "${CURRENT_PACKAGES_DIR}/lib/pkgconfig/${PORT}.pc")
    message(FATAL_ERROR "there is no lib/pkgconfig/${PORT}.pc")
  endif()
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
  foreach(file IN LISTS arg_FILE_LIST)
    file(READ "${file}" text)
    file(APPEND "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright" "${text}")
  endforeach()
endfunction()

get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}")
include("${root}/cmake/ports/grpccommon/portfile.cmake")

# What vcpkg looks for after a build.
foreach(file IN ITEMS copyright usage grpccommonConfig.cmake)
  if(NOT EXISTS "${CURRENT_PACKAGES_DIR}/share/${PORT}/${file}")
    message(FATAL_ERROR "the package has no share/${PORT}/${file}")
  endif()
endforeach()
foreach(folder IN ITEMS lib/cmake debug)
  if(EXISTS "${CURRENT_PACKAGES_DIR}/${folder}")
    message(FATAL_ERROR "the package has a folder ${folder}")
  endif()
endforeach()
