/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses as bytes in network order, and blocks of them. Pure. */
#ifndef SLUICE_FETCHD_HTTP_ADDRESS_H
#define SLUICE_FETCHD_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Parse "10.0.0.1", "fe80::1%eth0" (the zone is ignored) or, as in URLs, "[fe80::1]". Returns the family: AF_INET (4
 * bytes), AF_INET6 (16), or AF_UNSPEC if it is not an address.
 */
int address_parse(const char *text, uint8_t ret_address[static 16]);

/* Whether the first `bits` bits are equal. */
bool address_in_block(const uint8_t *address, const uint8_t *block, unsigned bits);

#endif
