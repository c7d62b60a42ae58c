#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that what vcpkg is told is what the build needs.

  check_port.py [<root>]

- vcpkg.json of the project and of its port in cmake/ports have no fields but
  those of vcpkg's reference, and name the project's version.
- Both depend on the same ports: on one for each package that the build finds,
  and on the programs that generate code, of the machine that builds.
- Each feature of the port is one of the project's, and sets an option.

Prints one line per finding and exits with 1 if there is any.
"""

import json
import re
import sys

import checks

MANIFESTS = ("vcpkg.json", "cmake/ports/grpccommon/vcpkg.json")
PORTFILE = "cmake/ports/grpccommon/portfile.cmake"

# https://learn.microsoft.com/vcpkg/reference/vcpkg-json
FIELDS = {
    "builtin-baseline", "default-features", "dependencies", "description",
    "documentation", "features", "homepage", "license", "maintainers", "name",
    "overrides", "port-version", "supports", "version", "version-date",
    "version-semver", "version-string"}
FEATURE_FIELDS = {"description", "dependencies", "supports", "license"}
DEPENDENCY_FIELDS = {
    "name", "default-features", "features", "host", "platform", "version>="}
IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

# The port that brings a package of cmake/GrpccommonDependencies.cmake, and the
# feature of ours that asks for it.
PORTS = {
    "Threads": None,
    "OpenSSL": ("openssl", None),
    "absl": ("abseil", None),
    "Protobuf": ("protobuf", None),
    "gRPC": ("grpc", None),
    "c-ares": ("c-ares", None),
    "prometheus-cpp": ("prometheus-cpp", None),
    "nlohmann_json": ("nlohmann-json", None),
    "spdlog": ("spdlog", None),
    "CURL": ("curl", None),
    "Boost": ("boost-beast", None),
    "re2": ("re2", None),
    "GTest": ("gtest", "testing"),
    "benchmark": ("benchmark", "tests"),
}
# vcpkg's own helpers, which only a port needs.
HELPERS = {"vcpkg-cmake", "vcpkg-cmake-config"}


def dependencies(entries, where):
    """The entries as {(name, host): entry}, and what is wrong with them."""
    found, wrong = {}, []
    for entry in entries:
        if isinstance(entry, str):
            entry = {"name": entry}
        name = entry.get("name", "")
        if not IDENTIFIER.fullmatch(name):
            wrong.append(f"{where}: '{name}' is no name of a port")
        for field in sorted(set(entry) - DEPENDENCY_FIELDS):
            wrong.append(f"{where}: '{name}' has an unknown field '{field}'")
        key = (name, bool(entry.get("host")))
        if key in found:
            wrong.append(f"{where}: depends on '{name}' twice")
        found[key] = entry
    return found, wrong


def manifest_findings(manifest, where, version):
    for field in sorted(set(manifest) - FIELDS):
        if not field.startswith("$"):
            yield f"{where}: unknown field '{field}'"
    if not IDENTIFIER.fullmatch(manifest.get("name", "")):
        yield f"{where}: has no proper name"
    if manifest.get("version-semver") != version:
        yield (f"{where}: version-semver is "
               f"{manifest.get('version-semver')}, the project's {version}")
    for name, feature in manifest.get("features", {}).items():
        if not IDENTIFIER.fullmatch(name):
            yield f"{where}: '{name}' is no name of a feature"
        for field in sorted(set(feature) - FEATURE_FIELDS):
            yield f"{where}: feature '{name}' has an unknown field '{field}'"
        if not feature.get("description"):
            yield f"{where}: feature '{name}' has no description"
        yield from dependencies(feature.get("dependencies", []),
                                f"{where}, feature '{name}'")[1]
    yield from dependencies(manifest.get("dependencies", []), where)[1]


def package_findings(packages, manifest, where, features):
    wanted = dependencies(manifest.get("dependencies", []), where)[0]
    for package in packages:
        if package not in PORTS:
            yield f"check_port.py: no port is known for the package {package}"
            continue
        if PORTS[package] is None:
            continue
        port, feature = PORTS[package]
        if feature is not None and feature not in features:
            continue
        there = wanted
        if feature is not None:
            entries = manifest["features"].get(feature, {})
            there = dependencies(entries.get("dependencies", []), where)[0]
        if (port, False) not in there:
            at = f"feature '{feature}'" if feature else "it"
            yield f"{where}: the build finds {package}, but {at} lacks '{port}'"
    if ("protobuf", True) not in wanted:
        yield f"{where}: lacks protoc, of 'protobuf' with host"
    if "codegen" not in wanted.get(("grpc", True), {}).get("features", []):
        yield f"{where}: lacks gRPC's plugin, of 'grpc' with host and 'codegen'"
    if "codegen" not in wanted.get(("grpc", False), {}).get("features", []):
        yield (f"{where}: lacks gRPC's libraries for reflection and channelz, of "
               "'grpc' with 'codegen'")


def findings(root):
    cmake = (root / "CMakeLists.txt").read_text()
    version = re.search(r"project\(\w+ VERSION ([\d.]+)", cmake).group(1)
    listed = (root / "cmake/GrpccommonDependencies.cmake").read_text()
    packages = re.search(r"set\(GRPCCOMMON_PACKAGES\s+(.*?)\s+CACHE", listed,
                         re.DOTALL).group(1).split()
    manifests = {}
    for where in MANIFESTS:
        try:
            manifests[where] = json.loads((root / where).read_text())
        except ValueError as error:
            yield f"{where}: is not JSON: {error}"
            return
        yield from manifest_findings(manifests[where], where, version)
    project, port = (manifests[where] for where in MANIFESTS)
    yield from package_findings(packages, project, MANIFESTS[0],
                                {"testing", "tests"})
    yield from package_findings(packages, port, MANIFESTS[1], {"testing"})

    def needed(manifest):
        entries = dependencies(manifest.get("dependencies", []), "")[0]
        return {key: entry for key, entry in entries.items()
                if key[0] not in HELPERS}
    if needed(project) != needed(port):
        yield f"{MANIFESTS[1]}: depends on other ports than {MANIFESTS[0]}"

    portfile = (root / PORTFILE).read_text()
    for name, feature in port.get("features", {}).items():
        if project.get("features", {}).get(name) != feature:
            yield f"{MANIFESTS[1]}: feature '{name}' is none of {MANIFESTS[0]}"
        if not re.search(rf"^\s+{re.escape(name)}\s+GRPCCOMMON_\w+", portfile,
                         re.MULTILINE):
            yield f"{PORTFILE}: feature '{name}' sets no option"
    for option in re.findall(r"-D(\w+)=|^\s+[a-z-]+\s+(GRPCCOMMON_\w+)",
                             portfile, re.MULTILINE):
        option = option[0] or option[1]
        if not re.search(rf"option\({option}\s", cmake):
            yield f"{PORTFILE}: the project has no option {option}"


if __name__ == "__main__":
    sys.exit(checks.report("port", findings(checks.root())))
