#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One check of the package, as seen from outside; ctest runs each (label
# `package`), after `install`.
#
#   run.sh <check> <build folder of grpccommon> <folder to work in>
set -euo pipefail

check=$1
build=$(realpath "$2")
work=$3
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
prefix=$work/prefix
cxx=${CXX:-c++}
jobs=$(nproc)

fail() {
  echo "package: $*" >&2
  exit 1
}

pkg() {
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name grpccommon.pc)") \
    pkg-config "$@" grpccommon
}

# Builds and tests the outside project; further arguments go to CMake.
outside_project() {
  local folder=$work/$check
  rm -rf "$folder/CMakeCache.txt"
  cmake -S "$here" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG=-O0 "$@"
  cmake --build "$folder" --parallel "$jobs"
  ctest --test-dir "$folder" --output-on-failure --no-tests=error
}

case $check in
  install)
    rm -rf "$prefix"
    cmake --install "$build" --prefix "$prefix"
    ! grep -rlF -e "$root" -e "$build" "$prefix" --include='*.cmake' \
      --include='*.pc' --include='*.h' ||
      fail "installed files name the build's folders"
    probe=$prefix/bin/grpccommon-probe
    if grep -qx 'GRPCCOMMON_PROBE:BOOL=ON' "$build/CMakeCache.txt"; then
      [[ $("$probe" --version) == "grpccommon-probe "* ]] ||
        fail "the installed grpccommon-probe does not run"
      code=0
      "$probe" --addr="unix:$work/nobody" --quiet || code=$?
      [ $code = 2 ] || fail "grpccommon-probe ends with $code, not 2"
      ! readelf -d "$probe" | grep -E 'libgrpccommon|R(UN)?PATH' ||
        fail "the installed grpccommon-probe needs more than the system has"
    else
      [ ! -e "$probe" ] || fail "grpccommon-probe is installed, though off"
    fi
    ;;

  find_package)
    outside_project "-DCMAKE_PREFIX_PATH=$prefix"
    ;;

  vcpkg)
    # What the port in cmake/ports makes, in the layout that vcpkg gives it.
    features=
    if grep -qx 'GRPCCOMMON_TESTING:BOOL=ON' "$build/CMakeCache.txt"; then
      features=testing
    fi
    package=$work/vcpkg_packages
    cmake "-DBUILD=$build" "-DCURRENT_PACKAGES_DIR=$package" \
      "-DFEATURES=$features" -P "$here/vcpkg.cmake"
    outside_project "-DCMAKE_PREFIX_PATH=$package"
    ;;

  add_subdirectory)
    # With CI's flags, so that ccache knows much of the library already.
    launcher=$(command -v ccache || true)
    outside_project "-DGRPCCOMMON_SOURCE_DIR=$root" -DGRPCCOMMON_WERROR=ON \
      "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher"
    ;;

  pkg_config)
    folder=$work/$check
    rm -rf "$folder"
    mkdir -p "$folder"
    protos=$(pkg --variable=protodir)
    protoc -I "$here" -I "$protos" --cpp_out="$folder" --grpc_out="$folder" \
      --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" \
      "$here/greeter.proto"
    # Word splitting is how pkg-config's flags are meant to be used.
    # shellcheck disable=SC2046
    "$cxx" -std=c++20 -O0 -I"$folder" "$here/main.cc" \
      "$folder/greeter.pb.cc" "$folder/greeter.grpc.pb.cc" \
      $(pkg --cflags --libs) "-Wl,-rpath,$(pkg --variable=libdir)" \
      -o "$folder/greeter"
    "$folder/greeter"
    ;;

  headers)
    # Each header alone, against nothing but the install; and none of them may
    # show a library that the modules hide from their users.
    hidden='/(prometheus|nlohmann|spdlog|boost|curl|openssl|re2|soci)/|/ares'
    folder=$work/$check
    rm -rf "$folder"
    mkdir -p "$folder"
    pkg --cflags >"$folder/flags"
    cd "$prefix/include"
    find grpccommon -name '*.h' | sort >"$folder/list"
    [ -s "$folder/list" ] || fail "no header is installed"
    export cxx folder hidden
    # shellcheck disable=SC2016
    xargs -P "$jobs" -I{} bash -euo pipefail -c '
      dependencies=$folder/$(echo {} | tr / _).d
      echo "#include \"{}\"" | "$cxx" -std=c++20 -x c++ $(cat "$folder/flags") \
        -Wall -Wextra -Wshadow -Wno-missing-field-initializers -Werror \
        -fsyntax-only -MD -MF "$dependencies" -MT {} - ||
        { echo "package: {} does not compile alone" >&2; exit 1; }
      if grep -E "$hidden" "$dependencies" | grep -v /grpc; then
        echo "package: {} shows a hidden library" >&2; exit 1
      fi' <"$folder/list"
    echo "$(wc -l <"$folder/list") headers compile alone"
    ;;

  exports)
    # A shared library exports what is promised: our namespaces and the
    # generated code, nothing of what it is built from.
    library=$(find "$prefix" -name 'libgrpccommon.so')
    [ -n "$library" ] || { echo "static build: nothing to check"; exit 0; }
    soname=$(objdump -p "$library" | awk '$1 == "SONAME" {print $2}')
    [[ $soname =~ ^libgrpccommon\.so\.[0-9]+\.[0-9]+$ ]] ||
      fail "SONAME is '$soname', not major.minor"
    foreign=$(nm -DC --defined-only "$library" | awk '$2 ~ /[TDBR]/' |
      cut -d' ' -f3- |
      grep -vE '^(vtable for |typeinfo (name )?for |guard variable for |non-virtual thunk to |virtual thunk to |VTT for )?(grpccommon|google::(rpc|api)|grpc::(health|reflection)|descriptor_table_|scc_info_|_(init|fini)|PROTOBUF_INTERNAL)' |
      grep -vE 'TableStruct_|^google::protobuf::(Arena|internal|Message)' || true)
    [ -z "$foreign" ] || fail "exports what is not promised: $foreign"
    ;;

  *)
    fail "unknown check '$check'"
    ;;
esac
