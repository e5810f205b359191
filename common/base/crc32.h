/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as in IEEE 802.3, zlib and PNG (reflected, polynomial 0xEDB88320): for small records that check themselves. */
#ifndef SLUICE_BASE_CRC32_H
#define SLUICE_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *data, size_t len);

#endif
