/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates in certs.d, as for podman (containers-certs.d(5)) and docker. A directory HOST or HOST:PORT in one of
 * the places; the first place that has one counts:
 *
 *   *.crt                    certificate authorities to trust in addition to the system's, or those of SSL_CERT_FILE
 *   NAME.cert and NAME.key   the client certificate and its key
 *
 * Settings of [registry HOST] take precedence.
 */
#ifndef SLUICE_FETCHD_CONFIG_CERTS_H
#define SLUICE_FETCHD_CONFIG_CERTS_H

#include "fetchd/config/registries.h"

#define CERTS_FILE_MAX (256u << 10) /* bytes of a *.crt */

/*
 * Complete the sections from ~/.config/containers/certs.d, /etc/containers/certs.d and /etc/docker/certs.d. Files that
 * cannot be used are noted in the section, to be named if TLS with that host fails. Reads the disk.
 */
void certs_read(struct registries *rs);

/* The same from other places, in order. */
void certs_read_from(struct registries *rs, const char *const *places, size_t len);

/*
 * Append the file of SSL_CERT_FILE, if it is set: an authorities' text for libcurl replaces that file, but not the
 * system's directory. Reads the disk.
 */
void certs_add_system_file(struct buf *authorities);

#endif
