// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/columns.h"

#include <algorithm>
#include <cstdio>

namespace grpccommon::bench {
namespace {

std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(),
                    [](unsigned char byte) { return (byte & 0xc0) != 0x80; }));
}

}  // namespace

std::string Number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string Signed(double value, int digits) {
  return (value < 0 ? "" : "+") + Number(value, digits);
}

std::string Grouped(double value) {
  std::string text = Number(value, 0);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, " ");
  }
  return text;
}

std::string Figure(double value) {
  const double size = value < 0 ? -value : value;
  if (size >= 1000) return Grouped(value);
  return Number(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

std::string Padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, Width(text)), ' ');
  return right ? space + text : text + space;
}

void PrintTable(std::ostream& out, const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  for (const Row& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += " " + Padded(row[i], widths[i], i > 0) + " ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

}  // namespace grpccommon::bench
