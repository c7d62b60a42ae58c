# SPDX-License-Identifier: Apache-2.0
# grpccommon_library()
#
# Makes the one library, grpccommon::grpccommon, of the objects of all modules
# but `testing` and of the library's own protos; shared or static by
# BUILD_SHARED_LIBS. It links to its users what the modules name as PUBLIC.
#
# A program links either this library or modules, never both: two copies of one
# proto file abort the process at start. CMake refuses to configure such a
# program, since the two disagree about GRPCCOMMON_LINKS_MODULES.
include_guard(GLOBAL)

# Header-only: users of a static library need not have them.
set(GRPCCOMMON_HEADER_ONLY nlohmann_json::nlohmann_json Boost::headers
  Boost::boost)

# The libraries from outside that the given modules name as <PUBLIC|PRIVATE>.
function(_grpccommon_outside_libraries variable property)
  set(libraries "")
  foreach(module IN LISTS ARGN)
    get_target_property(listed grpccommon_${module} GRPCCOMMON_${property})
    if(listed)
      list(FILTER listed EXCLUDE REGEX "^grpccommon(::|_)")
      list(APPEND libraries ${listed})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES libraries)
  list(SORT libraries)
  set(${variable} "${libraries}" PARENT_SCOPE)
endfunction()

function(grpccommon_library)
  get_property(modules GLOBAL PROPERTY GRPCCOMMON_MODULES)
  list(REMOVE_ITEM modules testing)
  get_property(protos GLOBAL PROPERTY GRPCCOMMON_PROTO_TARGETS)

  set(objects "")
  foreach(target IN LISTS modules)
    list(APPEND objects $<TARGET_OBJECTS:grpccommon_${target}>)
  endforeach()
  foreach(target IN LISTS protos)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()

  _grpccommon_outside_libraries(public PUBLIC ${modules})
  _grpccommon_outside_libraries(private PRIVATE ${modules})
  # The generated headers are public, and so is what they include.
  list(APPEND public protobuf::libprotobuf gRPC::grpc++)
  list(REMOVE_DUPLICATES public)
  if(public AND private)
    list(REMOVE_ITEM private ${public})
  endif()

  add_library(grpccommon ${objects})
  add_library(grpccommon::grpccommon ALIAS grpccommon)
  set_target_properties(grpccommon PROPERTIES
    LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    COMPATIBLE_INTERFACE_BOOL GRPCCOMMON_LINKS_MODULES
    INTERFACE_GRPCCOMMON_LINKS_MODULES OFF)
  target_compile_features(grpccommon PUBLIC cxx_std_20)
  target_include_directories(grpccommon
    PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/libgrpccommon/include>"
      "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  foreach(target IN LISTS protos)
    get_target_property(folder ${target} GRPCCOMMON_GENERATED_DIR)
    target_include_directories(grpccommon SYSTEM
      PUBLIC "$<BUILD_INTERFACE:${folder}>")
  endforeach()
  target_link_libraries(grpccommon PUBLIC ${public} ${GRPCCOMMON_GOOGLE_PROTOS})
  foreach(library IN LISTS private)
    if(library IN_LIST GRPCCOMMON_HEADER_ONLY)
      target_link_libraries(grpccommon PRIVATE "$<BUILD_INTERFACE:${library}>")
    else()
      target_link_libraries(grpccommon PRIVATE ${library})
    endif()
  endforeach()
  if(BUILD_SHARED_LIBS)
    # A module that forgot a library must fail here, not in a user's link.
    target_link_options(grpccommon PRIVATE -Wl,--no-undefined)
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
      target_link_options(grpccommon PRIVATE -Wl,-Bsymbolic-functions)
    endif()
    if(PROJECT_IS_TOP_LEVEL AND GRPCCOMMON_MOLD)
      target_link_options(grpccommon PRIVATE -fuse-ld=mold
        -Wl,-z,keep-text-section-prefix)  # as other linkers do by themselves
    endif()
  endif()

  list(REMOVE_ITEM private ${GRPCCOMMON_HEADER_ONLY})
  set_target_properties(grpccommon PROPERTIES
    GRPCCOMMON_PUBLIC "${public}" GRPCCOMMON_PRIVATE "${private}")
endfunction()
