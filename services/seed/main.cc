// SPDX-License-Identifier: Apache-2.0
// Fills a platform for development, through its APIs: users, problems with
// tests, a contest that runs. Done again, it changes nothing.
//
//   platform_seed <registry URI> <content folder> <run folder>
//
// PLATFORM_TOKEN is what the registry is asked with. The run folder has the
// file admin_password; the passwords of those who are made are kept beside it,
// in seed_passwords.json. `./dev up --seed` runs it.

#include <sys/stat.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "grpccommon/base/file.h"
#include "grpccommon/server/server.h"
#include "nlohmann/json.hpp"
#include "services/seed/seeder.h"

namespace {

using platform::seed::Clients;
using platform::seed::SeedOptions;

/// The passwords of an earlier run, or new ones; for their owner only.
absl::StatusOr<std::map<std::string, std::string>> Passwords(
    const std::string& path) {
  const auto text = grpccommon::ReadFile(path);
  if (text.ok()) {
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    std::map<std::string, std::string> passwords;
    for (const auto& [name, password] : json.items()) {
      if (!password.is_string()) break;
      passwords[name] = password.get<std::string>();
    }
    if (!passwords.empty()) return passwords;
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not an object of texts"));
  }
  if (!absl::IsNotFound(text.status())) return text.status();
  std::map<std::string, std::string> passwords;
  for (const auto& [name, shown] : platform::seed::People()) {
    passwords[name] = platform::seed::RandomPassword();
  }
  const std::string json = nlohmann::json(passwords).dump(2) + "\n";
  const absl::Status created =
      grpccommon::CreateFile(path, json, S_IRUSR | S_IWUSR);
  if (!created.ok()) return created;
  return passwords;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const token = std::getenv("PLATFORM_TOKEN");
  if (argc != 4 || token == nullptr) {
    std::cerr << "usage: PLATFORM_TOKEN=… platform_seed <registry URI> "
                 "<content folder> <run folder>\n";
    return 64;
  }
  const std::string run_folder = argv[3];
  const auto content = platform::seed::LoadContent(argv[2]);
  if (!content.ok()) return grpccommon::ExitWith(content.status());
  const auto admin = grpccommon::ReadFile(run_folder + "/admin_password");
  if (!admin.ok()) return grpccommon::ExitWith(admin.status());
  auto passwords = Passwords(run_folder + "/seed_passwords.json");
  if (!passwords.ok()) return grpccommon::ExitWith(passwords.status());
  const auto clients = Clients::Connect(argv[1], token);
  if (!clients.ok()) return grpccommon::ExitWith(clients.status());

  const SeedOptions options{
      .admin_login = "admin",
      .admin_password = std::string(absl::StripSuffix(*admin, "\n")),
      .passwords = *std::move(passwords)};
  const auto summary = platform::seed::Seed(**clients, *content, options);
  if (!summary.ok()) return grpccommon::ExitWith(summary.status());
  for (const auto& [name, id] : summary->users) {
    std::cout << "    user " << name << ": " << id << '\n';
  }
  for (const auto& [slug, id] : summary->problems) {
    std::cout << "    problem " << slug << ": " << id << '\n';
  }
  std::cout << "    contest \"" << summary->contest.title()
            << "\": " << summary->contest.id() << '\n';
}
