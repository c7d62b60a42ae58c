# SPDX-License-Identifier: Apache-2.0
# What differs between the releases of gRPC that a build has to know of; what
# code has to know of is in libgrpccommon/src/base/grpc_compat.h.
include_guard(GLOBAL)

# The newest release whose internals were read (docs/decisions/0010).
set(_grpccommon_grpc_read 1.83)
if(gRPC_VERSION VERSION_GREATER_EQUAL 1.84)
  message(NOTICE "grpccommon: gRPC ${gRPC_VERSION} is newer than \
${_grpccommon_grpc_read}, the last that was read for changes of what the call \
path relies on; run integration/call_path_test and refusal_matrix_test before \
trusting it (docs/decisions/0010-grpc-internals.md)")
endif()

# Whether reflection v1 is ours to serve: gRPC 1.51 knows v1alpha only, and
# newer releases serve both. Two copies of its messages in one process abort it,
# so it is gRPC's own header that is asked, rather than its version.
set(GRPCCOMMON_OWN_REFLECTION ON)
get_target_property(_grpccommon_grpc_includes
  gRPC::grpc++ INTERFACE_INCLUDE_DIRECTORIES)
if(NOT _grpccommon_grpc_includes)
  set(_grpccommon_grpc_includes "")
endif()
find_file(GRPCCOMMON_REFLECTION_HEADER
  grpcpp/ext/proto_server_reflection_plugin.h
  HINTS ${_grpccommon_grpc_includes})
mark_as_advanced(GRPCCOMMON_REFLECTION_HEADER)
if(GRPCCOMMON_REFLECTION_HEADER)
  file(STRINGS "${GRPCCOMMON_REFLECTION_HEADER}" _grpccommon_reflection_v1
    REGEX "ProtoServerReflectionV1")
  if(_grpccommon_reflection_v1)
    set(GRPCCOMMON_OWN_REFLECTION OFF)
  endif()
endif()
