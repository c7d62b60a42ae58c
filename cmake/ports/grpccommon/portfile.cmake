# SPDX-License-Identifier: Apache-2.0
# An overlay port that builds the tree it lies in:
#   vcpkg install grpccommon --overlay-ports=<this tree>/cmake/ports
# vcpkg looks for changes in this folder only: after a change of the sources,
# remove the port and install it again with --no-binarycaching.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
  FEATURES
    testing GRPCCOMMON_TESTING)
vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${FEATURE_OPTIONS}
    -DGRPCCOMMON_TESTS=OFF
    -DGRPCCOMMON_PROBE=OFF
    -DGRPCCOMMON_SERVICES=OFF
    -DGRPCCOMMON_EXAMPLES=OFF
    -DGRPCCOMMON_BENCHMARKS=OFF
    -DGRPCCOMMON_INSTALL=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/grpccommon)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include"
  "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage"
  DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
