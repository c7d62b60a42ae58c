// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace grpccommon::bench {

/// With so many digits after the point.
std::string Number(double value, int digits);
/// With its sign, also a plus.
std::string Signed(double value, int digits);
/// A whole number: "12 345 678".
std::string Grouped(double value);
/// With three digits, which are all that such a figure has.
std::string Figure(double value);

/// Filled up with spaces to `width` columns, not bytes: "µ" and "…" have
/// several. To the right if `right`.
std::string Padded(const std::string& text, std::size_t width, bool right);

using Row = std::vector<std::string>;
/// Columns as wide as what is in them; all rows have as many as the first.
void PrintTable(std::ostream& out, const std::vector<Row>& rows);

}  // namespace grpccommon::bench
