// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks what libgrpccommon promises; everything else has hidden visibility.
#if defined(__GNUC__)
#define GRPCCOMMON_EXPORT __attribute__((visibility("default")))
#else
#define GRPCCOMMON_EXPORT
#endif
