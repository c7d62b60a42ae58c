# SPDX-License-Identifier: Apache-2.0
# grpccommon_generate(<target>
#   PROTOS …                 # paths below BASE, or absolute ones
#   [BASE <folder>]          # import root; default: the current source folder
#   [IMPORTS <folder> …]     # further import roots
#   [LIBRARIES <target> …]   # libraries with the generated code of imports
#   [MESSAGES_ONLY])         # no gRPC stubs and services
#
# Turns an application's protos into one static library target, with messages,
# stubs and services, on Debian's gRPC as on vcpkg's. Works inside this project,
# below add_subdirectory and from an install (grpccommonConfig.cmake includes
# it).
#
# Protos that import what libgrpccommon provides (grpccommon/…, google/api/…,
# google/rpc/…) are linked with it by themselves: two copies of one proto file
# in a process abort it at start.
include_guard(GLOBAL)

function(grpccommon_generate target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "MESSAGES_ONLY" "BASE"
    "PROTOS;IMPORTS;LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "grpccommon_generate(${target}): does not know "
      "'${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT arg_PROTOS)
    message(FATAL_ERROR "grpccommon_generate(${target}): PROTOS is empty")
  endif()
  if(NOT arg_BASE)
    set(arg_BASE "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  get_filename_component(base "${arg_BASE}" ABSOLUTE)
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${target}_protos")
  file(MAKE_DIRECTORY "${out}")

  set(import_flags "-I${base}")
  foreach(folder IN LISTS arg_IMPORTS GRPCCOMMON_PROTO_DIR
      Protobuf_INCLUDE_DIRS)
    get_filename_component(folder "${folder}" ABSOLUTE)
    list(APPEND import_flags "-I${folder}")
  endforeach()

  set(generated "")
  set(uses_library FALSE)
  foreach(proto IN LISTS arg_PROTOS)
    if(IS_ABSOLUTE "${proto}")
      file(RELATIVE_PATH proto "${base}" "${proto}")
    endif()
    if(proto MATCHES "^\\.\\./" OR NOT EXISTS "${base}/${proto}")
      message(FATAL_ERROR
        "grpccommon_generate(${target}): no ${proto} below ${base}")
    endif()
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    set(outputs "${out}/${stem}.pb.cc" "${out}/${stem}.pb.h")
    set(grpc_flags "")
    if(NOT arg_MESSAGES_ONLY)
      # First, as in protoc's depfile: ninja compares the first names.
      list(PREPEND outputs
        "${out}/${stem}.grpc.pb.cc" "${out}/${stem}.grpc.pb.h")
      set(grpc_flags "--grpc_out=${out}"
        "--plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND protobuf::protoc ${import_flags} "--cpp_out=${out}" ${grpc_flags}
        "--dependency_out=${out}/${stem}.d" "${base}/${proto}"
      DEPENDS "${base}/${proto}" protobuf::protoc
      DEPFILE "${out}/${stem}.d"
      COMMENT "Generating ${stem}"
      VERBATIM)
    list(APPEND generated ${outputs})

    # Texts of protos are in either kind of quotes.
    file(STRINGS "${base}/${proto}" lines REGEX
      "^([^/]*;)?[ \t]*import[ \t]*(public|weak)?[ \t]*[\"'](grpccommon|google/api|google/rpc)/")
    foreach(import IN LISTS lines)
      string(REGEX REPLACE
        ".*import[ \t]*(public|weak)?[ \t]*[\"']([^\"']+).*" "\\2"
        import "${import}")
      if(NOT import IN_LIST arg_PROTOS)
        set(uses_library TRUE)
      endif()
    endforeach()
  endforeach()

  # By itself, so that it waits for no library, and clang-tidy for nothing else.
  add_custom_target(${target}_generated DEPENDS ${generated})
  set_property(GLOBAL APPEND PROPERTY GRPCCOMMON_GENERATED
    ${target}_generated)

  add_library(${target} STATIC ${generated})
  target_compile_features(${target} PUBLIC cxx_std_17)
  target_include_directories(${target} SYSTEM PUBLIC "$<BUILD_INTERFACE:${out}>")
  target_link_libraries(${target} PUBLIC ${arg_LIBRARIES} protobuf::libprotobuf)
  # This project's own protos and unit tests name what they link.
  if(uses_library AND NOT "grpccommon_option_protos" IN_LIST arg_LIBRARIES)
    target_link_libraries(${target} PUBLIC grpccommon::grpccommon)
  endif()
  if(NOT arg_MESSAGES_ONLY)
    target_link_libraries(${target} PUBLIC gRPC::grpc++)
  endif()
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_CLANG_TIDY ""
    GRPCCOMMON_GENERATED_DIR "${out}")
endfunction()
