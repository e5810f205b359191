/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/address.h"

/* System */
#include <arpa/inet.h>
#include <string.h>

int address_parse(const char *text, uint8_t ret_address[static 16])
{
	char bare[INET6_ADDRSTRLEN];
	size_t begin = text[0] == '[', len = strcspn(text + begin, "]%");
	if (len >= sizeof(bare))
		return AF_UNSPEC;
	memcpy(bare, text + begin, len);
	bare[len] = '\0';
	if (inet_pton(AF_INET, bare, ret_address) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, bare, ret_address) == 1 ? AF_INET6 : AF_UNSPEC;
}

bool address_in_block(const uint8_t *address, const uint8_t *block, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(address, block, whole) != 0)
		return false;
	return rest == 0 || (address[whole] ^ block[whole]) >> (8 - rest) == 0;
}
