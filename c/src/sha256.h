/* SHA-256 (FIPS 180-4).
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_SRC_SHA256_H
#define VRCNN_SRC_SHA256_H

#include <stddef.h>
#include <stdint.h>

void vrcnn_sha256(uint8_t digest[32], const uint8_t *data, size_t size);

#endif
